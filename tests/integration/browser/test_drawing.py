"""What a page needs of graphics to prepare media: canvases and images, which draw without a GPU."""

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


async def test_a_page_draws_thumbnails_and_stickers(tmp_path: Path) -> None:
    async with connected(spec_in(tmp_path)) as (_, connection):
        answer = await connection.cdp(
            "Runtime.evaluate", {"expression": _DRAW, "awaitPromise": True, "returnByValue": True}, timeout_s=10
        )
    assert answer["result"].get("value") == {"types": ["image/jpeg", "image/webp"], "width": 64, "green": True}
