import {
  Bell,
  Boxes,
  CalendarClock,
  ChevronRight,
  FolderTree,
  KeyRound,
  LayoutDashboard,
  LogOut,
  Menu as MenuIcon,
  Moon,
  Package,
  PlugZap,
  Rocket,
  ScrollText,
  Send,
  Server,
  Settings,
  ShieldCheck,
  Sun,
  SunMoon,
  UserRound,
  type LucideIcon,
} from 'lucide-react';
import { memo, Suspense, useEffect, useState, type ReactNode } from 'react';
import { Link, NavLink, Outlet, useLocation, useNavigate } from 'react-router';
import type { Permission } from '../../core/access/index.js';
import { Bones, Button, IconButton, Menu, Notices, Tip } from '../ui/index.js';
import { ErrorBoundary } from './boundary.js';
import { useLive, useLiveState, type LiveState } from './live.js';
import { useCan, useMe, useSignOut } from './session.js';
import { setTheme, useTheme, type Theme } from './theme.js';

interface Entry {
  readonly to: string;
  readonly title: string;
  readonly icon: LucideIcon;
  /** Who may not do this anywhere does not see it. */
  readonly needs?: Permission;
}

const PARTS: readonly { readonly title: string; readonly entries: readonly Entry[] }[] = [
  {
    title: 'Fleet',
    entries: [
      { to: '/', title: 'Overview', icon: LayoutDashboard },
      { to: '/nodes', title: 'Nodes', icon: Server, needs: 'node.view' },
      { to: '/groups', title: 'Groups', icon: FolderTree, needs: 'group.view' },
      { to: '/enrollment', title: 'Enrollment', icon: PlugZap, needs: 'node.enroll' },
    ],
  },
  {
    title: 'Change',
    entries: [
      { to: '/releases', title: 'Releases', icon: Package, needs: 'release.view' },
      { to: '/rollouts', title: 'Rollouts', icon: Rocket, needs: 'rollout.view' },
      { to: '/plans', title: 'Plans', icon: CalendarClock, needs: 'rollout.view' },
    ],
  },
  {
    title: 'Evidence',
    entries: [
      { to: '/events', title: 'Events', icon: ScrollText, needs: 'event.view' },
      { to: '/alerts', title: 'Alerts', icon: Bell, needs: 'event.view' },
      { to: '/audit', title: 'Audit', icon: ShieldCheck, needs: 'audit.view' },
      { to: '/sinks', title: 'Sinks', icon: Send, needs: 'sink.manage' },
    ],
  },
  {
    title: 'House',
    entries: [
      { to: '/access', title: 'Access', icon: KeyRound, needs: 'member.manage' },
      { to: '/settings', title: 'Settings', icon: Settings },
    ],
  },
];

/** What is around every page: where one can go, who one is, and whether what is shown is fresh. */
export const Shell = (): ReactNode => {
  useLive();
  const [isOpen, setOpen] = useState(false);
  const { pathname } = useLocation();
  useEffect(() => setOpen(false), [pathname]);
  return (
    <>
      <a href="#main" className="skip-link">
        Skip to the content
      </a>
      <div className="shell">
        <Link to="/" className="shell-brand" aria-label="Bellwether, overview">
          <img src="/icon.svg" alt="" width={26} height={26} />
          <span>Bellwether</span>
        </Link>
        <Top isOpen={isOpen} onOpen={setOpen} />
        <Side isOpen={isOpen} />
        <main id="main" className="shell-main" tabIndex={-1}>
          <LostBanner />
          <ErrorBoundary key={pathname}>
            <Suspense fallback={<Bones lines={8} />}>
              <Outlet />
            </Suspense>
          </ErrorBoundary>
        </main>
      </div>
      <Notices />
    </>
  );
};

/** Not drawn again for each filter that comes into the address. */
const Top = memo(function Top({
  isOpen,
  onOpen,
}: {
  readonly isOpen: boolean;
  readonly onOpen: (isOpen: boolean) => void;
}): ReactNode {
  return (
    <header className="shell-top">
      <span className="nav-opener">
        <IconButton
          label={isOpen ? 'Close the menu' : 'Open the menu'}
          onPress={() => onOpen(!isOpen)}
        >
          <MenuIcon aria-hidden />
        </IconButton>
      </span>
      <span className="grow" />
      <LiveDot />
      <ThemeMenu />
      <PersonMenu />
    </header>
  );
});

const Side = memo(function Side({ isOpen }: { readonly isOpen: boolean }): ReactNode {
  const can = useCan();
  return (
    <nav className="shell-side" data-open={isOpen} aria-label="Pages">
      {PARTS.map(({ title, entries }) => {
        const seen = entries.filter(({ needs }) => needs === undefined || can(needs));
        return seen.length === 0 ? null : (
          <div key={title}>
            <div className="nav-title">{title}</div>
            {seen.map(({ to, title: text, icon: Icon }) => (
              <NavLink key={to} to={to} end={to === '/'} className="nav-link">
                <Icon aria-hidden />
                {text}
              </NavLink>
            ))}
          </div>
        );
      })}
    </nav>
  );
});

const LIVE_WORDS: Readonly<Record<LiveState, string>> = {
  connecting: 'Connecting to the event stream',
  live: 'Live: this page follows what happens',
  lost: 'The manager cannot be reached; trying again',
};

const LiveDot = (): ReactNode => {
  const state = useLiveState();
  return (
    <Tip text={LIVE_WORDS[state]}>
      <span className="row small soft">
        <span className="live-dot" data-state={state} />
        {state === 'live' ? 'Live' : state === 'lost' ? 'Offline' : 'Connecting'}
      </span>
    </Tip>
  );
};

const LostBanner = (): ReactNode => {
  const state = useLiveState();
  if (state !== 'lost') return null;
  return (
    <div className="banner" role="status" style={{ marginBottom: 16, borderRadius: 8 }}>
      The manager cannot be reached. What you see is what was known last; it catches up by itself.
    </div>
  );
};

const THEMES: readonly { readonly id: Theme; readonly label: string; readonly icon: LucideIcon }[] =
  [
    { id: 'system', label: 'As the system', icon: SunMoon },
    { id: 'light', label: 'Light', icon: Sun },
    { id: 'dark', label: 'Dark', icon: Moon },
  ];

const ThemeMenu = (): ReactNode => {
  const theme = useTheme();
  const Icon = THEMES.find(({ id }) => id === theme)?.icon ?? SunMoon;
  return (
    <Menu
      label="Theme"
      choices={THEMES.map(({ id, label, icon: One }) => ({
        id,
        label,
        icon: <One size={16} aria-hidden />,
        run: () => setTheme(id),
      }))}
    >
      <IconButton label="Theme">
        <Icon aria-hidden />
      </IconButton>
    </Menu>
  );
};

const PersonMenu = (): ReactNode => {
  const me = useMe();
  const signOut = useSignOut();
  const navigate = useNavigate();
  return (
    <Menu
      label="Account"
      choices={[
        {
          id: 'account',
          label: 'Account and security',
          icon: <UserRound size={16} aria-hidden />,
          run: () => void navigate('/settings?tab=account'),
        },
        {
          id: 'docs',
          label: 'Documentation',
          icon: <Boxes size={16} aria-hidden />,
          run: () => window.open('/docs/', '_blank', 'noopener'),
        },
        {
          id: 'out',
          label: 'Sign out',
          icon: <LogOut size={16} aria-hidden />,
          run: () => void signOut(),
        },
      ]}
    >
      <Button kind="quiet" icon={<UserRound aria-hidden />}>
        <span className="cut" style={{ maxWidth: 140 }}>
          {me.user.name}
        </span>
        <ChevronRight aria-hidden style={{ rotate: '90deg' }} />
      </Button>
    </Menu>
  );
};
