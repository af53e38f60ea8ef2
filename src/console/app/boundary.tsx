import { Component, type ReactNode } from 'react';
import { Problem } from '../ui/index.js';

/** A page that fails says so; the rest of the console stays. */
export class ErrorBoundary extends Component<
  { readonly children: ReactNode },
  { readonly error: Error | null }
> {
  override state: { readonly error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error): { readonly error: Error } {
    return { error };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (error === null) return this.props.children;
    // A newer build is there: the parts of this page are gone.
    const isStale = /dynamically imported module|module script/i.test(error.message);
    return (
      <Problem
        error={isStale ? new Error('The manager was upgraded. Load the page again.') : error}
        again={() => (isStale ? location.reload() : this.setState({ error: null }))}
      />
    );
  }
}
