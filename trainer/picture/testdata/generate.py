#!/usr/bin/env python3
"""Writes the pictures of this folder and what Pillow and torchvision make of them.

    python3 generate.py [DATASET_DIR]  (needs Pillow, NumPy, torchvision; made with 13.0.0, 2.4.6, 0.29.2)

X.png, X.jpg …: a picture. X.rgb.png, X.grey.png: Pillow's convert("RGB") and
convert("L") of it, transparency composited on white. crop_HxW.png: torchvision's
Resize and CenterCrop of colour.png. fashion.png: the images of Fashion-MNIST whose
borders are brightest on average, side by side.
"""
import gzip
import pathlib
import sys

import numpy
from PIL import Image, ImageOps
from torchvision.transforms import v2

HERE = pathlib.Path(__file__).resolve().parent
rng = numpy.random.default_rng(42)


def pattern(h, w, channels, noise=0, stretch=1):
    """A smooth pattern with noise: (h, w, channels) bytes."""
    y, x = numpy.mgrid[:h, :w] / stretch
    waves = [128 + 100 * numpy.sin(x / (4 + c) + c) * numpy.cos(y / (5 - c) + 2 * c) for c in range(channels)]
    values = numpy.stack(waves, -1) + rng.normal(0, 1, (h, w, channels)) * noise
    return values.round().clip(0, 255).astype(numpy.uint8)


def save(name, image, reference=True, **options):
    image.save(HERE / name, **options)
    if not reference:
        return
    read = Image.open(HERE / name)
    read.seek(0)
    if read.mode == "I;16":  # convert("L") would clip it
        read = Image.fromarray((numpy.asarray(read) >> 8).astype(numpy.uint8))
    if read.mode != "L":
        white = Image.new("RGBA", read.size, "white")
        rgb = Image.alpha_composite(white, read.convert("RGBA")).convert("RGB")
        if read.mode == "CMYK":
            rgb = read.convert("RGB")
    else:
        rgb = read.convert("RGB")
    stem = name.replace(".", "_")
    rgb.save(HERE / f"{stem}.rgb.png", optimize=True)
    rgb.convert("L").save(HERE / f"{stem}.grey.png", optimize=True)


def references():
    colour = Image.fromarray(pattern(29, 40, 3, 40))
    alpha = colour.copy()
    alpha.putalpha(Image.fromarray(pattern(29, 40, 1)[..., 0]))
    smooth = Image.fromarray(pattern(24, 32, 3))
    smooth_alpha = smooth.copy()
    smooth_alpha.putalpha(Image.fromarray(pattern(24, 32, 1)[..., 0]))
    save("colour.png", colour, optimize=True)
    save("alpha.png", alpha, optimize=True)
    save("palette.png", smooth.quantize(16), optimize=True)
    save("grey16.png", Image.fromarray((pattern(24, 32, 1)[..., 0].astype(numpy.uint16) << 8) + 77), optimize=True)
    save("grey.jpg", Image.fromarray(pattern(24, 32, 1)[..., 0]), quality=90)
    save("colour.jpg", smooth, quality=90, subsampling=0)
    save("progressive.jpg", smooth, quality=90, subsampling=0, progressive=True)
    save("cmyk.jpg", smooth.convert("CMYK"), quality=90, subsampling=0)
    save("lossless.webp", smooth, lossless=True)
    save("lossless_alpha.webp", smooth_alpha, lossless=True)
    smoother = Image.fromarray(pattern(24, 32, 3, stretch=8))  # half the resolution of chroma is enough
    save("lossy.webp", smoother, quality=90)
    smoother.putalpha(smooth_alpha.getchannel("A"))
    save("lossy_alpha.webp", smoother, quality=90)
    black_white = Image.new("RGB", (32, 32), "white")
    black_white.paste("black", (0, 0, 32, 16))
    save("black_white.webp", black_white, quality=90)
    frames = [Image.fromarray(pattern(24, 32, 3)).quantize(16), Image.new("P", (32, 24))]
    save("animated.gif", frames[0], save_all=True, append_images=frames[1:], duration=100)
    save("animated.webp", smooth, reference=False, save_all=True, append_images=[smooth.rotate(180)], duration=100)

    for h, w in (28, 28), (16, 16), (10, 24), (28, 12), (36, 36):
        # Resize((h', w')) to cover h × w, as Resize(n) does for a square.
        scaled = (h, 40 * h // 29) if h * 40 >= w * 29 else (29 * w // 40, w)
        resize = v2.Resize(h if h == w else scaled, antialias=True)
        v2.CenterCrop((h, w))(resize(colour)).save(HERE / f"crop_{h}x{w}.png", optimize=True)


def orientations():
    """The same upright picture stored in all eight ways."""
    blocks = numpy.array([[0, 60, 250], [250, 120, 60]], numpy.uint8)
    upright = Image.fromarray(numpy.kron(blocks, numpy.ones((8, 8), numpy.uint8)))
    upright.save(HERE / "upright.png", optimize=True)
    T = Image.Transpose
    # What undoes each orientation's own change.
    undo = {2: T.FLIP_LEFT_RIGHT, 3: T.ROTATE_180, 4: T.FLIP_TOP_BOTTOM, 5: T.TRANSPOSE,
            6: T.ROTATE_90, 7: T.TRANSVERSE, 8: T.ROTATE_270}
    for n in range(1, 9):
        stored = upright.transpose(undo[n]) if n in undo else upright
        exif = Image.Exif()
        exif.endian = "<" if n % 2 == 0 else ">"
        exif[0x010F] = "maker"
        exif[0x0112] = n
        options = {"exif": exif.tobytes()}
        stored.save(HERE / f"orientation_{n}.jpg", quality=95, **options)
        if n == 6:
            stored.save(HERE / "orientation_6.png", optimize=True, **options)
            # An XMP segment comes before the EXIF one.
            data = (HERE / "orientation_6.jpg").read_bytes()
            xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
            segment = b"\xff\xe1" + (len(xmp) + 2).to_bytes(2, "big") + xmp
            (HERE / "orientation_6_xmp.jpg").write_bytes(data[:2] + segment + data[2:])
        for path in HERE.glob(f"orientation_{n}*"):
            error = numpy.abs(numpy.asarray(ImageOps.exif_transpose(Image.open(path)).convert("L")).astype(int) -
                              numpy.asarray(upright)).max()
            assert error <= 3, (path, error)


def fashion(folder):
    sets = [numpy.frombuffer(gzip.open(folder / f"{part}-images-idx3-ubyte.gz").read(), numpy.uint8, offset=16)
            for part in ("train", "t10k")]
    images = numpy.concatenate(sets).reshape(-1, 28, 28)
    border = numpy.ones((28, 28), bool)
    border[1:-1, 1:-1] = False
    brightest = images[:, border].mean(1).argsort()[-6:]
    Image.fromarray(numpy.hstack(images[brightest])).save(HERE / "fashion.png", optimize=True)


references()
orientations()
fashion(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/datasets/fashion-mnist"))
assert all(path.stat().st_size < 5000 for path in HERE.iterdir() if path.suffix != ".py")
