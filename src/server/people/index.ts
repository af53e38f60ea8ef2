export { PeopleModule } from './people.module.js';
export { PersonalProof } from './personal-proof.js';
