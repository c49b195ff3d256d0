"""In Chromium's place: `python -I -S browser.py --user-data-dir=DIR JUDGE SESSION_ID`, a process that is a holder.

It logs in at the judge with the state that its profile holds, and is connected for as long as it lives, whatever
happens to the shard that started it. It writes its state into the profile before it shows it. Lines on standard input
and output stand for DevTools. It imports next to nothing, as hundreds of them are started.
"""

import _socket
import os
import select
import sys

STATE_FILE = "Default/Cookies"
STATE_BYTES = 64
NO_STATE = "0 0"


def read_state(profile_dir: str) -> str:
    """Return `device counter`; `0 0` when the profile holds no login."""
    try:
        with open(f"{profile_dir}/{STATE_FILE}") as file:
            return file.read().strip() or NO_STATE
    except FileNotFoundError:
        return NO_STATE


def write_state(profile_dir: str, state: str) -> None:
    """Put the state in place as a whole."""
    path = f"{profile_dir}/{STATE_FILE}"
    with open(f"{path}.new", "w") as file:
        file.write(state.ljust(STATE_BYTES))
    os.rename(f"{path}.new", path)


class Lines:
    """Lines that come in over a file descriptor."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self._rest = b""

    def read(self) -> "list[str] | None":
        """Return the lines that came; None at the end."""
        try:
            came = os.read(self.handle, 65536)
        except OSError:
            came = b""
        if not came:
            return None
        *lines, self._rest = (self._rest + came).split(b"\n")
        return [line.decode() for line in lines]


def main(profile_dir: str, judge: str, session_id: str) -> None:
    """Be a browser until told to close."""
    line = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    line.connect(judge)
    line.send(f"login {session_id} {read_state(profile_dir)}\n".encode())
    told, asked = Lines(line.fileno()), Lines(0)
    watched = [told, asked]
    while True:
        ready, _, _ = select.select([lines.handle for lines in watched], [], [])
        for lines in list(watched):
            if lines.handle not in ready:
                continue
            came = lines.read()
            if came is None:
                watched.remove(lines)
            for text in came or ():
                if lines is asked and text == "close":
                    os._exit(0)
                if lines is told:
                    if text.startswith("in "):
                        write_state(profile_dir, text[3:])
                    os.write(1, f"{text}\n".encode())
        if not watched:
            os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1].partition("=")[2], sys.argv[2], sys.argv[3])
