export { createPlan, deletePlan, listPlans, showPlan, updatePlan } from './plans.js';
export {
  createSchedule,
  deleteSchedule,
  listSchedules,
  pauseSchedule,
  resumeSchedule,
  showSchedule,
  updateSchedule,
} from './schedules.js';
