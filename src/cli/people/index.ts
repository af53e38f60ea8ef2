export { addFactor, changePassword, listSessions, removeFactor, revokeSession } from './account.js';
export { login, logout, whoami } from './login.js';
export { listMembers, removeMember, setMember } from './members.js';
export {
  changeUser,
  disableUser,
  enableUser,
  inviteUser,
  listInvitations,
  listUsers,
  resetFactor,
  revokeInvitation,
  showUser,
  signOutUser,
} from './users.js';
