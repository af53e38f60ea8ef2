import { QueryClientProvider } from '@tanstack/react-query';
import { StrictMode, type ReactNode } from 'react';
import { createRoot } from 'react-dom/client';
import { createBrowserRouter, RouterProvider } from 'react-router';
import { Door, SignIn } from './app/door.js';
import { PAGES } from './app/pages.js';
import { makeQueries } from './app/query.js';
import { useSession, WithSession } from './app/session.js';
import { Shell } from './app/shell.js';
import { applyTheme } from './app/theme.js';
import './style/index.css';
import { Problem } from './ui/index.js';

applyTheme();
const queries = makeQueries();

/** Everything behind the door needs a session. */
const Inside = (): ReactNode => {
  const session = useSession();
  switch (session.kind) {
    case 'asking':
      return null;
    case 'failed':
      return (
        <Door title="The manager does not answer">
          <Problem error={session.error} again={session.again} />
        </Door>
      );
    case 'nobody':
      return <SignIn />;
    case 'somebody':
      return (
        <WithSession me={session.me}>
          <Shell />
        </WithSession>
      );
  }
};

const router = createBrowserRouter([{ path: '/', element: <Inside />, children: [...PAGES] }]);
const root = document.getElementById('root');
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </StrictMode>,
  );
}
