import { QueryClientProvider } from '@tanstack/react-query';
import { lazy, StrictMode, Suspense, type ReactNode } from 'react';
import { createRoot } from 'react-dom/client';
import { createBrowserRouter, RouterProvider } from 'react-router';
import { Door, SignIn } from './app/door.js';
import { PAGES, preload } from './app/pages.js';
import { makeQueries } from './app/query.js';
import { followInvitation } from './app/secret.js';
import { useSession, WithSession } from './app/session.js';
import { Shell } from './app/shell.js';
import { applyTheme } from './app/theme.js';
import './style/index.css';
import { Problem } from './ui/index.js';

applyTheme();
followInvitation();
const queries = makeQueries();
preload(location.pathname);

// Seldom gone to, so each is loaded by itself.
const FactorDoor = lazy(() => import('./app/second-factor.js'));
const SetupPage = lazy(() => import('./app/setup.js'));
const InvitationPage = lazy(() => import('./app/invitation.js'));

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
      if (session.me.second_factor_missing) return <FactorDoor me={session.me} />;
      return (
        <WithSession me={session.me}>
          <Shell />
        </WithSession>
      );
  }
};

const router = createBrowserRouter([
  { path: '/setup', element: <SetupPage /> },
  { path: '/invitation', element: <InvitationPage /> },
  { path: '/', element: <Inside />, children: [...PAGES] },
]);
const root = document.getElementById('root');
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <Suspense fallback={null}>
          <RouterProvider router={router} />
        </Suspense>
      </QueryClientProvider>
    </StrictMode>,
  );
}
