"""What a camera's URI names: a video file, a directory of pictures, a network camera or a USB index."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import TypeAdapter, ValidationError

from streams.errors import Refused
from streams.messages.fields import Name

NETWORK = ("rtsp", "rtsps", "http", "https")
MOST_NAME = 128
"""Camera ids are no longer (`streams.messages.fields.Name`)."""


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A file that OpenCV can play."""

    path: Path

    @property
    def shown(self) -> str:
        """For people."""
        return str(self.path)


@dataclass(frozen=True, slots=True)
class PictureFolder:
    """A directory of JPEG and PNG files, one picture of the camera each, in the order of their names."""

    path: Path

    @property
    def shown(self) -> str:
        """For people."""
        return str(self.path)


@dataclass(frozen=True, slots=True)
class NetworkCamera:
    """RTSP, or MJPEG over HTTP.  `uri` may hold a password; `shown` does not."""

    uri: str
    shown: str


@dataclass(frozen=True, slots=True)
class UsbCamera:
    """A camera of this machine by its number."""

    index: int

    @property
    def shown(self) -> str:
        """For people."""
        return f"USB camera {self.index}"


Source = VideoFile | PictureFolder | NetworkCamera | UsbCamera


def parse(text: str) -> Source:
    """What `text` names.  Raises Refused in words."""
    if text.isascii() and text.isdigit():
        return UsbCamera(int(text))
    if "://" in text:
        parts = _split(text)
        if parts.scheme in NETWORK:
            return NetworkCamera(text, _without_password(parts))
        if parts.scheme != "file":
            raise Refused(f"{parts.scheme}:// is no camera: give a video file, a directory of pictures, rtsp://, http:// or a USB index")
        text = unquote(parts.path)
    path = Path(text)
    if path.is_dir():
        return PictureFolder(path)
    if path.is_file():
        return VideoFile(path)
    raise Refused(f"{text}: no such file or directory, and no rtsp://, http:// or USB index")


def default_id(source: Source) -> str:
    """A camera id from the URI: the file's or directory's name, the host and path, or the index.  Never a password."""
    if isinstance(source, UsbCamera):
        return f"usb-{source.index}"
    if isinstance(source, NetworkCamera):
        parts = urlsplit(source.uri)
        text = f"{parts.hostname}{parts.path}"
    else:
        path = source.path.resolve()
        text = path.stem if isinstance(source, VideoFile) else path.name
    return re.sub(r"[^\w.]+", "-", text).strip("-.")[:MOST_NAME] or "camera"


def checked_id(text: str) -> str:
    """The camera id if it may be one.  Raises Refused."""
    try:
        return TypeAdapter(Name).validate_python(text)
    except ValidationError as error:
        raise Refused(f"{text!r} cannot be a camera id: {error.errors()[0]['msg']}") from None


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises where it is no number
    except ValueError as error:
        raise Refused(f"the camera's URI cannot be read: {error}") from None
    if parts.scheme in NETWORK and not parts.hostname:
        raise Refused(f"the camera's URI names no host: {parts.scheme}://HOST[:PORT]/PATH is expected")
    return parts


def _without_password(parts: SplitResult) -> str:
    """Query strings of cameras often carry a password too, so they are left out."""
    place = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{place}{parts.path}"
