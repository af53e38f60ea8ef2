/** Whether `dist` holds what the sources of this moment give. */
export function isBuilt(): boolean;
