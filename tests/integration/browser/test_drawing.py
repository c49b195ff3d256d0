"""What a page needs of graphics: canvases and images for media, and frames and visibility for its lists."""

from pathlib import Path

from tests.integration.browser.rig import connected, spec_in

_DRAW = """(async () => {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 64;
  const context = canvas.getContext('2d');
  context.fillStyle = '#25d366';
  context.fillRect(0, 0, 64, 64);
  const jpeg = await new Promise((done) => canvas.toBlob(done, 'image/jpeg', 0.9));
  const image = await createImageBitmap(jpeg);
  const small = new OffscreenCanvas(8, 8);
  small.getContext('2d').drawImage(image, 0, 0, 8, 8);
  const [red, green, blue] = small.getContext('2d').getImageData(4, 4, 1, 1).data;
  const webp = await small.convertToBlob({ type: 'image/webp' });
  return { types: [jpeg.type, webp.type], width: image.width, green: green > 180 && red < 80 && blue < 130 };
})()"""

_SHOW = """(async () => {
  const list = document.createElement('div');
  list.style.cssText = 'height: 100px; overflow: auto';
  list.innerHTML = '<p style="height: 90px"></p>'.repeat(20);
  document.body.append(list);
  const seen = [];
  const observer = new IntersectionObserver((entries) => seen.push(...entries.map((entry) => entry.isIntersecting)));
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  observer.observe(list.lastChild);
  for (let frames = 0; frames < 5; frames++) await frame();
  list.scrollTop = list.scrollHeight;
  for (let frames = 0; frames < 5; frames++) await frame();
  let sized = 0;
  new ResizeObserver(() => sized++).observe(list);
  await frame(); await frame();
  return { seen, sized, hidden: document.hidden };
})()"""


async def test_a_page_draws_thumbnails_and_stickers(tmp_path: Path) -> None:
    async with connected(spec_in(tmp_path)) as (_, connection):
        answer = await connection.cdp(
            "Runtime.evaluate", {"expression": _DRAW, "awaitPromise": True, "returnByValue": True}, timeout_s=10
        )
    assert answer["result"].get("value") == {"types": ["image/jpeg", "image/webp"], "width": 64, "green": True}


async def test_a_page_gets_frames_and_is_told_what_is_visible(tmp_path: Path) -> None:
    async with connected(spec_in(tmp_path)) as (_, connection):
        answer = await connection.cdp(
            "Runtime.evaluate", {"expression": _SHOW, "awaitPromise": True, "returnByValue": True}, timeout_s=10
        )
    assert answer["result"].get("value") == {"seen": [False, True], "sized": 1, "hidden": False}
