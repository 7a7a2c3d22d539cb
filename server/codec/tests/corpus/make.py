"""Writes golden.tsv: what decoders other than ours make of each frame of the corpus.

Run by hand when the corpus grows, never by the tests:
    python3 -m venv v && v/bin/pip install pydicom==3.0.2 numpy pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg pylibjpeg-rle
    v/bin/python make.py <folder of catalogue.csv> > golden.tsv
It also calls DCMTK's dcmdjpeg, for JPEG of 12 bits and progressive JPEG.

A line: file, frame from 1, and either "sha" and the SHA-256 of the canonical plain pixels, or, where the codec's
arithmetic may round, "near": the tolerance, the mean of each sample times 100, and probes of an 8 x 8 grid of pixels.
"""
import csv, hashlib, os, subprocess, sys, tempfile, warnings, zlib
import numpy as np
import pydicom
from pydicom.pixels import pixel_array
from pydicom.encaps import generate_frames

warnings.filterwarnings("ignore")
ROOT = sys.argv[1]
DCT = {f"1.2.840.10008.1.2.4.{n}" for n in range(50, 57)}
J2K = {"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203"}
DEFLATED_FRAME = "1.2.840.10008.1.2.8.1"
RLE = "1.2.840.10008.1.2.5"


def packbits(data, length):
    out, i = bytearray(), 0
    while len(out) < length:
        n = data[i]
        if n < 128:
            out += data[i + 1 : i + 2 + n]
            i += 2 + n
        elif n > 128:
            out += data[i + 1 : i + 2] * (257 - n)
            i += 2
        else:
            i += 1
    return bytes(out[:length])


def one_bit(ds, uid):
    count = ds.Rows * ds.Columns
    for raw in generate_frames(ds.PixelData, number_of_frames=int(ds.get("NumberOfFrames", 1) or 1)):
        if uid == RLE:
            start = int.from_bytes(raw[4:8], "little")
            raw = packbits(raw[start:], (count + 7) // 8)
        else:
            raw = zlib.decompressobj(-15).decompress(raw)
        yield np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")[:count].reshape(ds.Rows, ds.Columns)


def is_dct(raw):
    at = 2
    while raw[at + 1] != 0xDA:
        if raw[at + 1] in (0xC0, 0xC1, 0xC2):
            return True
        at += 2 + int.from_bytes(raw[at + 2 : at + 4], "big")
    return False


def irreversible(raw):
    at = raw.find(b"\xff\x52")
    return raw[at + 13] == 0


def canonical(a, ds):
    stored, high, alloc = ds.BitsStored, ds.get("HighBit", ds.BitsStored - 1), ds.BitsAllocated
    if alloc > 1:
        u = a.astype(np.int64)
        u = (u >> (high + 1 - stored)) & ((1 << stored) - 1)
        if ds.PixelRepresentation == 1:
            u = np.where(u >> (stored - 1), u - (1 << stored), u)
        a = u
    width = 1 if stored <= 8 else 2 if stored <= 16 else 4
    return a, np.ascontiguousarray(a.astype(f"<i{width}" if ds.get("PixelRepresentation", 0) else f"<u{width}")).tobytes()


def frames(ds, path):
    uid = ds.file_meta.get("TransferSyntaxUID", "1.2.840.10008.1.2")
    if ds.BitsAllocated == 1 and uid in (RLE, DEFLATED_FRAME):
        return list(one_bit(ds, uid)), None
    near = None
    count = int(ds.get("NumberOfFrames", 1) or 1)
    if uid in DCT or (uid == "1.2.840.10008.1.2.4.70" and is_dct(next(generate_frames(ds.PixelData, number_of_frames=count)))):
        near = 1 if ds.SamplesPerPixel == 1 else 3
        with tempfile.TemporaryDirectory() as t:
            out = os.path.join(t, "x")
            done = subprocess.run(["dcmdjpeg", "+cp", path, out], capture_output=True)
            if done.returncode:
                raise RuntimeError(done.stderr.decode()[:80])
            ds2 = pydicom.dcmread(out, force=True)
            a = ds2.pixel_array
            n = int(ds2.get("NumberOfFrames", 1) or 1)
            if ds2.SamplesPerPixel == 3 and ds2.PhotometricInterpretation.startswith("YBR"):
                raise RuntimeError("not RGB")
            ds.BitsStored, ds.HighBit, ds.BitsAllocated = ds2.BitsStored, ds2.HighBit, ds2.BitsAllocated
            return list(a) if n > 1 else [a], near
    if uid in J2K:
        raw = next(generate_frames(ds.PixelData, number_of_frames=int(ds.get("NumberOfFrames", 1) or 1)))
        if irreversible(raw):
            near = 1 if ds.SamplesPerPixel == 1 else 2
    ds.pixel_array_options(raw=True)
    a = ds.pixel_array
    n = int(ds.get("NumberOfFrames", 1) or 1)
    return list(a) if n > 1 else [a], near


for line in csv.DictReader(open(os.path.join(ROOT, "catalogue.csv"))):
    path = os.path.join(ROOT, line["file"])
    try:
        ds = pydicom.dcmread(path, force=True)
        if "PixelData" not in ds:
            continue
        if "TransferSyntaxUID" not in ds.file_meta:
            ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2" if ds.original_encoding[0] else "1.2.840.10008.1.2.1"
        got, near = frames(ds, path)
    except Exception as e:
        print(line["file"], type(e).__name__, str(e)[:100].replace("\n", " "), file=sys.stderr)
        continue
    for n, a in enumerate(got, 1):
        a, plain = canonical(a, ds)
        if near is None:
            print(line["file"], n, "sha", hashlib.sha256(plain).hexdigest(), sep="\t")
        elif n <= 3:
            a = a.reshape(ds.Rows, ds.Columns, ds.SamplesPerPixel)
            means = ",".join(str(round(float(v) * 100)) for v in a.mean(axis=(0, 1)))
            ys = [(2 * i + 1) * ds.Rows // 16 for i in range(8)]
            xs = [(2 * i + 1) * ds.Columns // 16 for i in range(8)]
            probes = ",".join(str(int(v)) for y in ys for x in xs for v in a[y, x])
            print(line["file"], n, "near", near, means, probes, sep="\t")
