"""Which flags Chromium is started with: a pure plan over a frozen description. Starts nothing."""

from dataclasses import dataclass
from pathlib import Path

_QUIET = (
    # Nothing is fetched, reported or updated that the page itself did not ask for.
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--disable-crash-reporter",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-pings",
)
_UNATTENDED = (
    # Nobody looks at the window: no dialogs, no sound, no throttling of a page that seems to be in the background.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-hang-monitor",
    "--disable-ipc-flooding-protection",
    "--disable-popup-blocking",
    "--disable-prompt-on-repost",
    "--disable-renderer-backgrounding",
    "--disable-search-engine-choice-screen",
    # Without it a GL in software is loaded into every Chromium, for WebGL only.
    "--disable-software-rasterizer",
    "--hide-crash-restore-bubble",
    "--hide-scrollbars",
    "--mute-audio",
    # The size that whatsapp-web.js's pages have, too; each drawn picture is held in memory.
    "--window-size=800,600",
)
_PORTABLE_PROFILE = (
    # Cookies are encrypted with a key that every Chromium on every host has: a keyring would tie the profile to one.
    "--password-store=basic",
    "--use-mock-keychain",
)
_DISABLED_FEATURES = (
    "AcceptCHFrame",
    "IsolateSandboxedIframes",
    "MediaRouter",
    "OptimizationHints",
    "ProcessPerSiteUpToMainFrameThreshold",
    "RenderDocument",
    "Translate",
)
_LEVELDB_ONLY = (
    # Snapshots copy IndexedDB as LevelDB keeps it; Chromium is about to move it into SQLite.
    "IdbSqliteBackingStore",
    "IdbSqliteOnDiskRollout",
)
_DISK_CACHE_BYTES = 32 * 1024 * 1024
_MEDIA_CACHE_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class BrowserSpec:
    """One Chromium to start.

    `user_agent` None means Chromium's own without the word "Headless". `pgid_file` is where the process group is
    noted, so that a later process can end it if ours is killed (see `orphans`).
    """

    chromium_path: Path
    profile_dir: Path
    headless_shell: bool = True
    sandbox: bool = True
    extra_args: tuple[str, ...] = ()
    user_agent: str | None = None
    tmp_dir: Path | None = None
    """Where Chromium's temporary files go; short, as it makes a socket there. None: where the system has them."""
    pgid_file: Path | None = None


def plan_flags(spec: BrowserSpec) -> tuple[str, ...]:
    """Return Chromium's arguments for a spec, without the binary itself.

    The lean flags of headless-shell put GPU and network service into the browser process (49 instead of 69-94 MB a
    session). `--no-zygote` belongs to them only when the sandbox is off: with the sandbox on Chromium refuses it
    ("Zygote cannot be disabled if sandbox is enabled"). The other two work with the sandbox.

    `extra_args` come last, because the last of two equal Chromium flags wins; their `--disable-features` and
    `--enable-features` are merged with ours, which would otherwise be lost.
    """
    enabled = ["NetworkServiceInProcess2"] if spec.headless_shell else []
    disabled = [*_DISABLED_FEATURES, *_LEVELDB_ONLY]
    extra: list[str] = []
    for arg in spec.extra_args:
        name, _, value = arg.partition("=")
        features = {"--enable-features": enabled, "--disable-features": disabled}.get(name)
        if features is None:
            extra.append(arg)
        else:
            features.extend(feature for feature in value.split(",") if feature)
    return (
        *_mode(spec),
        *_QUIET,
        *_UNATTENDED,
        *_PORTABLE_PROFILE,
        *([f"--enable-features={','.join(enabled)}"] if enabled else []),
        f"--disable-features={','.join(disabled)}",
        f"--disk-cache-size={_DISK_CACHE_BYTES}",
        f"--media-cache-size={_MEDIA_CACHE_BYTES}",
        f"--user-data-dir={spec.profile_dir}",
        "--remote-debugging-address=127.0.0.1",
        "--remote-debugging-port=0",
        *([f"--user-agent={spec.user_agent}"] if spec.user_agent else []),
        *extra,
        "about:blank",
    )


def _mode(spec: BrowserSpec) -> tuple[str, ...]:
    no_sandbox = () if spec.sandbox else ("--no-sandbox",)
    if not spec.headless_shell:
        return ("--headless=new", *no_sandbox)
    lean = ("--in-process-gpu",) if spec.sandbox else ("--in-process-gpu", "--no-zygote")
    return (*lean, *no_sandbox)


def plain_user_agent(version: str) -> str:
    """Return the user agent of a Chromium that is not headless; `version` is like "156.0.8078.79".

    Chromium shows only the major version there (user agent reduction), so that is what others of this version say.
    """
    major = version.partition(".")[0]
    return f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{major}.0.0.0 Safari/537.36"


def plain_brands(version: str) -> list[dict[str, str]]:
    """Return the client hints' brands to go with it; headless-shell would add "HeadlessChrome" there too."""
    major = version.partition(".")[0]
    return [{"brand": "Not:A-Brand", "version": "8"}, {"brand": "Chromium", "version": major}]
