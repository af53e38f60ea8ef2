export { deleteContext, listContexts, showContext, useContext } from './commands.js';
export { CONTEXT_OPTION, contextNamed, contextOf, readContext, type Context } from './context.js';
export { configPath, ContextName, readConfig, writeConfig, type ContextEntry } from './store.js';
