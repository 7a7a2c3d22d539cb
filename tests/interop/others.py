"""Other people's DICOM tools against a running server: pynetdicom stores, dicomweb-client stores, searches and retrieves.

What is given back is held against what was sent: bytes by SHA-256, values by pydicom. Every check is one JSON line on
stdout; stderr has what the libraries say. Ends with 0 when all hold, 1 when one does not, 2 when it could not check:
nothing to send, a missing tool, a wrong argument.

The token comes in the environment as VITRINE_TOKEN, so that no list of processes shows it.
"""

import argparse
import hashlib
import io
import json
import os
import pathlib
import sys
import time
import traceback

try:
    import numpy
    import pydicom
    import pynetdicom
    import requests
    from dicomweb_client.api import DICOMwebClient
    from PIL import Image
    from pydicom.encaps import generate_fragmented_frames
    from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, pixel_array
    from pydicom.uid import UID, generate_uid
except ImportError as missing:
    print(json.dumps({"check": "tools", "ok": False, "detail": f"{missing}; install tests/interop/requirements.txt"}))
    sys.exit(2)

# A data set goes out as it lies in the file, not as pydicom would write it.
pynetdicom._config.STORE_SEND_CHUNKED_DATASET = True

ANY = "*"
EXPLICIT = "1.2.840.10008.1.2.1"
# PS3.5 §A.4: syntaxes whose decoders may differ by rounding (lossy JPEG; JPEG 2000 and HTJ2K where they are lossy).
LOSSY = {UID(f"1.2.840.10008.1.2.4.{n}") for n in (50, 51, 91, 93, 203)}
# Greatest difference of a sample for those, of 8 or 16 bits: one of the inverse transform, one of each colour's rounding.
ROUNDING = 3
# Pixel Data in its three forms. Metadata may leave them out: there are frames.
PIXELS = ("7FE00008", "7FE00009", "7FE00010")
# Data Set Trailing Padding says nothing.
PADDING = 0xFFFCFFFC
# Frames of one request; the server's own limit is above it.
FRAMES_AT_ONCE = 16

failed = 0
held = 0


def told(check, ok, of="", **detail):
    """Prints one check and counts it."""
    global failed, held
    if ok:
        held += 1
    else:
        failed += 1
    print(json.dumps({"check": check, "of": of, "ok": bool(ok), **detail}), flush=True)
    return ok


def tried(check, of, act):
    """Runs a check; an exception is a check that failed, and the others go on."""
    try:
        act()
    except Exception as fault:  # whatever a library throws is a finding
        answer = getattr(fault, "response", None)
        said = {} if answer is None else {"status": answer.status_code, "url": answer.url, "answer": answer.text[:400]}
        if answer is not None:
            said["accept"] = answer.request.headers.get("accept")
        else:
            traceback.print_exc()
        told(check, False, of, detail=f"{type(fault).__name__}: {fault}", **said)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def after_meta(data):
    """The data set of a Part 10 file (PS3.10 §7.1): what follows group 0002."""
    length = int.from_bytes(data[140:144], "little")
    return data[144 + length :]


class Sent:
    """One object as it was sent."""

    def __init__(self, data, way, name):
        self.data, self.way, self.name = data, way, name
        self.set = pydicom.dcmread(io.BytesIO(data))
        self.uids = (self.set.StudyInstanceUID, self.set.SeriesInstanceUID, self.set.SOPInstanceUID)
        self.syntax = self.set.file_meta.TransferSyntaxUID

    @property
    def frames(self):
        return int(self.set.get("NumberOfFrames") or 1)

    @property
    def label(self):
        return f"{self.way} {self.name}"


class Recorder(requests.Session):
    """A session that keeps the last body it sent and the last answer it got."""

    sent = b""
    answer = None

    def send(self, request, **more):
        # dicomweb-client names the host without its port (RFC 9110 §7.2 wants both), and gets addresses like it back.
        request.headers.pop("Host", None)
        if request.body is not None:
            if not isinstance(request.body, (bytes, str)):
                request.body = b"".join(request.body)
                request.headers.pop("Transfer-Encoding", None)
                request.headers["Content-Length"] = str(len(request.body))
            self.sent = request.body
        self.answer = super().send(request, **more)
        return self.answer


def parts(media, body):
    """The parts of a multipart answer (RFC 2046 §5.1.1), as bytes."""
    boundary = media.split("boundary=")[1].split(";")[0].strip('" ').encode()
    chunks = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if not chunks[-1].startswith(b"--"):
        raise ValueError("the answer has no last boundary")
    return [chunk.split(b"\r\n\r\n", 1)[1] for chunk in chunks[1:-1]]


def store_dimse(args, files):
    """Stores the files by C-STORE as they are; gives those that were taken."""
    host, port = args.dimse.rsplit(":", 1)
    sent = [Sent(path.read_bytes(), "C-STORE", path.stem) for path in files]
    wanted = sorted({(s.set.SOPClassUID, s.syntax) for s in sent})
    taken = []
    for at in range(0, len(wanted), 120):
        entity = pynetdicom.AE(ae_title=args.caller)
        for sop_class, syntax in wanted[at : at + 120]:
            entity.add_requested_context(sop_class, syntax)
        line = entity.associate(host, int(port), ae_title=args.called)
        if not told("associate", line.is_established, detail=f"{args.caller} calls {args.called}"):
            continue
        for path, one in zip(files, sent):
            if (one.set.SOPClassUID, one.syntax) not in wanted[at : at + 120]:
                continue
            try:
                answer = line.send_c_store(str(path))
            except (ValueError, RuntimeError) as fault:
                told("c-store", False, one.label, detail=str(fault))
                continue
            status = f"{answer.Status:04x}" if "Status" in answer else "none"
            if told("c-store", status == "0000", one.label, status=status, detail=str(answer.get("ErrorComment", ""))):
                taken.append(one)
        line.release()
    return taken


def store_web(client, session, files):
    """Stores copies under UIDs of their own by STOW-RS, one study at a time; gives those that were taken."""
    studies = {}
    for path in files:
        copy = pydicom.dcmread(path)
        copy.SeriesInstanceUID = generate_uid(entropy_srcs=["stow", copy.SeriesInstanceUID])
        copy.SOPInstanceUID = generate_uid(entropy_srcs=["stow", copy.SOPInstanceUID])
        copy.file_meta.MediaStorageSOPInstanceUID = copy.SOPInstanceUID
        studies.setdefault(copy.StudyInstanceUID, []).append((path.stem, copy))
    taken = []
    for study, copies in studies.items():

        def store(study=study, copies=copies):
            answer = client.store_instances([c for _, c in copies], study_instance_uid=study)
            bodies = parts(session.answer.request.headers["content-type"], session.sent)
            named = {s.ReferencedSOPInstanceUID for s in answer.get("ReferencedSOPSequence", [])}
            wrong = [str(s) for s in answer.get("FailedSOPSequence", [])]
            told("stow", not wrong and len(bodies) == len(copies), study, detail="; ".join(wrong)[:400])
            for (name, copy), body in zip(copies, bodies):
                one = Sent(body, "STOW", name)
                if told("stow-referenced", copy.SOPInstanceUID in named, one.label):
                    taken.append(one)

        tried("stow", study, store)
    return taken


def again(client, sent):
    """What a modality sent comes again from an archive, under another file meta information: it is the same object."""
    for one in sent[:1]:

        def store(one=one):
            answer = client.store_instances([one.set])
            told("same-again", not answer.get("FailedSOPSequence"), one.label, detail=str(answer)[:400])

        tried("same-again", one.label, store)


def differences(ours, theirs, bulk):
    """What the server says otherwise of elements than pydicom reads them; `bulk` gathers addresses with their elements."""
    out = []
    for element in ours:
        tag = f"{element.tag:08X}"
        # JSON is UTF-8 and says so, whatever the object was written in (PS3.18 §F.2).
        if tag == "00080005" or element.tag == PADDING:
            continue
        other = theirs.get(tag)
        if other is None and tag in PIXELS:
            continue
        if other is None:
            out.append(f"{tag} is missing")
        elif other.get("vr") == "UN" and element.tag.is_private:
            continue  # Implicit VR: pydicom knows some makers' elements, which nobody else need.
        elif other.get("vr") != element.VR and element.VR != "UN" and " or " not in element.VR:
            out.append(f"{tag} has VR {other.get('vr')}, not {element.VR}")
        elif "BulkDataURI" in other:
            bulk.append((other["BulkDataURI"], element))
        elif element.VR == "SQ":
            items = other.get("Value", [])
            if len(items) != len(element.value):
                out.append(f"{tag} has {len(items)} items, not {len(element.value)}")
            for mine, item in zip(element.value, items):
                out += [f"{tag}/{d}" for d in differences(mine, item, bulk)]
        else:
            key = "InlineBinary" if "InlineBinary" in other else "Value"
            mine = pydicom.DataElement.from_json(pydicom.Dataset, tag, element.VR, other.get(key, []), key)
            if not same(element.value, mine.value, element.VR == "FL"):
                out.append(f"{tag} is {mine.value!r}, not {element.value!r}"[:200])
    return out


def same(mine, theirs, single=False):
    """Equal values; none is none in whatever form, a number is itself however it was written. `single`: 32 bits of it."""

    def plain(value):
        if isinstance(value, (pydicom.multival.MultiValue, list, tuple)):
            return [plain(v) for v in value]
        if value is None or value == "":
            return None
        if isinstance(value, (int, float)):
            return float(numpy.float32(value) if single else value)
        if isinstance(value, bytes):
            return value.rstrip(b"\0")
        return str(value).rstrip(" \0")

    mine, theirs = plain(mine), plain(theirs)
    return mine == theirs or (mine, theirs) in ((None, []), ([], None))


def search(client, sent):
    """QIDO-RS: every study, series and instance is found by each key, with the values that it has."""
    studies = {}
    for one in sent:
        studies.setdefault(one.uids[0], []).append(one)
    for uid, of in studies.items():
        first = of[0].set
        wide = {"PatientID": first.PatientID, "StudyInstanceUID": uid, "StudyDate": first.StudyDate}
        if first.get("AccessionNumber"):
            wide["AccessionNumber"] = first.AccessionNumber
        for key, value in wide.items():

            def by(key=key, value=value):
                found = client.search_for_studies(search_filters={key: value}, fields=["StudyDescription"], limit=100)
                told("qido-studies", any(f["0020000D"]["Value"][0] == uid for f in found), uid, key=key)

            tried("qido-studies", uid, by)

        def modality():
            found = client.search_for_studies(
                search_filters={"ModalitiesInStudy": first.Modality, "PatientID": first.PatientID}
            )
            row = [f for f in found if f["0020000D"]["Value"][0] == uid]
            told("qido-modality", len(row) == 1 and first.Modality in row[0]["00080061"]["Value"], uid)

        def none():
            told("qido-nothing", client.search_for_studies(search_filters={"PatientID": "nobody-of-this-id"}) == [], uid)

        def series():
            found = {s["0020000E"]["Value"][0]: s for s in client.search_for_series(uid)}
            for name in {s.uids[1] for s in of}:
                count = len({s.uids[2] for s in of if s.uids[1] == name})
                row = found.get(name, {})
                told("qido-series", row.get("00201209", {}).get("Value") == [count], name, expected=count)

        def instances():
            found = client.search_for_instances(uid, get_remaining=True)
            rows = {f["00080018"]["Value"][0]: f for f in found}
            for one in of:
                row = rows.get(one.uids[2])
                if row is None:
                    told("qido-instance", False, one.label, detail="not found")
                    continue
                keys = [k for k in row if k not in ("00080056", "00081190") and k in one.set]
                wrong = differences([one.set[k] for k in keys], row, [])
                told("qido-instance", not wrong and len(keys) > 4, one.label, detail="; ".join(wrong))

        tried("qido-modality", uid, modality)
        tried("qido-nothing", uid, none)
        tried("qido-series", uid, series)
        tried("qido-instances", uid, instances)


def objects(client, session, one):
    """WADO-RS: the object by itself is the bytes that were sent."""

    def whole():
        given = client.retrieve_instance(*one.uids, media_types=(("application/dicom", ANY),))
        body = parts(session.answer.headers["content-type"], session.answer.content)[0]
        if one.way == "STOW":
            pair = sha256(body), sha256(b"\0" * 128 + one.data[128:])
        else:
            pair = sha256(after_meta(body)), sha256(after_meta(one.data))
        told("wado-bytes", pair[0] == pair[1], one.label, sha256=pair[0], sent=pair[1])
        told("wado-object", list(given) == list(one.set), one.label)

    def metadata():
        given = client.retrieve_instance_metadata(*one.uids)
        bulk = []
        wrong = differences(one.set, given, bulk)
        told("wado-metadata", not wrong, one.label, detail="; ".join(wrong)[:1000])
        for address, element in bulk:
            if element.tag == 0x7FE00010 or element.VR == "SQ":
                continue

            def value(address=address, element=element):
                data = b"".join(client.retrieve_bulkdata(address, media_types=("application/octet-stream",)))
                told("wado-bulk", data.rstrip(b"\0") == bytes(element.value).rstrip(b"\0"), one.label, tag=str(element.tag))

            tried("wado-bulk", f"{one.label} {element.tag}", value)

    tried("wado-bytes", one.label, whole)
    tried("wado-metadata", one.label, metadata)


def wide(client, sent):
    """WADO-RS: a series and its metadata have all that was sent, and no more."""
    for study, series in sorted({s.uids[:2] for s in sent}):
        expected = sorted(s.uids[2] for s in sent if s.uids[:2] == (study, series))

        def all_of(study=study, series=series, expected=expected):
            given = client.retrieve_series(study, series, media_types=(("application/dicom", ANY),))
            told("wado-series", sorted(d.SOPInstanceUID for d in given) == expected, series)

        def metadata(study=study, series=series, expected=expected):
            given = client.retrieve_series_metadata(study, series)
            told("wado-series-metadata", sorted(d["00080018"]["Value"][0] for d in given) == expected, series)

        tried("wado-series", series, all_of)
        tried("wado-series-metadata", series, metadata)


def values(data, one):
    """The samples of a frame of plain values, in the shape of the header (PS3.5 §8.1.1, Explicit VR Little Endian)."""
    ds = one.set
    bits, samples = int(ds.BitsAllocated), int(ds.SamplesPerPixel)
    if bits == 1:
        flat = numpy.unpackbits(numpy.frombuffer(data, "u1"), bitorder="little")[: ds.Rows * ds.Columns]
        return flat.reshape(ds.Rows, ds.Columns)
    kind = "<i" if ds.get("PixelRepresentation", 0) == 1 else "<u"
    flat = numpy.frombuffer(data, f"{kind}{bits // 8}")[: ds.Rows * ds.Columns * samples]
    planar = samples > 1 and ds.get("PlanarConfiguration", 0) == 1 and not one.syntax.is_encapsulated
    if planar:
        return flat.reshape(samples, ds.Rows, ds.Columns).transpose(1, 2, 0)
    return flat.reshape((ds.Rows, ds.Columns) + ((samples,) if samples > 1 else ()))


def frames(client, one):
    """WADO-RS: frames as plain values are what pydicom reads; as stored they are the stored bytes."""
    numbers = list(range(1, one.frames + 1))
    lossy = one.syntax in LOSSY
    subsampled = "422" in one.set.PhotometricInterpretation and not one.syntax.is_encapsulated

    def plain():
        expected = pixel_array(one.set, raw=not one.syntax.is_encapsulated)
        expected = expected if one.frames > 1 else expected[None]
        for at in range(0, len(numbers), FRAMES_AT_ONCE):
            some = numbers[at : at + FRAMES_AT_ONCE]
            given = client.retrieve_instance_frames(
                *one.uids, frame_numbers=some, media_types=(("application/octet-stream", EXPLICIT),)
            )
            worst = 0
            for number, data in zip(some, given):
                mine, theirs = expected[number - 1].astype("i8"), values(data, one).astype("i8")
                worst = max(worst, int(abs(mine - theirs).max())) if mine.shape == theirs.shape else 1 << 32
            fits = len(given) == len(some) and worst <= (ROUNDING if lossy else 0)
            told("wado-frames", fits, one.label, frames=len(given), worst=worst, syntax=one.syntax.name)

    def stored():
        given = client.retrieve_instance_frames(
            *one.uids, frame_numbers=numbers[:FRAMES_AT_ONCE], media_types=(("application/octet-stream", ANY),)
        )
        data = one.set.PixelData
        if one.syntax.is_encapsulated:
            cut = [b"".join(f) for f in generate_fragmented_frames(data, number_of_frames=one.frames)]
        else:
            size = len(data) // one.frames
            cut = [data[n * size : (n + 1) * size] for n in range(one.frames)]
            exact = one.set.Rows * one.set.Columns * one.set.SamplesPerPixel * one.set.BitsAllocated // 8
            cut = [c[:exact] if len(c) == exact + 1 else c for c in cut]
        pairs = list(zip(given, cut))
        told("wado-stored-frames", len(given) == len(numbers[:FRAMES_AT_ONCE]) and all(a == b for a, b in pairs), one.label)

    if not subsampled and one.set.BitsAllocated in (1, 8, 16, 32):
        tried("wado-frames", one.label, plain)
    if one.set.BitsAllocated != 1 and one.syntax != "1.2.840.10008.1.2.2":
        # Bits of several frames share bytes, and big endian values are turned: neither is bytes of the file.
        tried("wado-stored-frames", one.label, stored)


def shown(one):
    """The first frame in eight bits as its header says it is shown (PS3.4 §N.2); None where that is not told by it alone."""
    ds = one.set
    kind = ds.PhotometricInterpretation
    image = pixel_array(ds, index=0)
    if kind == "PALETTE COLOR":
        coloured = apply_color_lut(image, ds)
        return (coloured / 257).round() if coloured.dtype == numpy.uint16 else coloured
    if kind.startswith("MONOCHROME") and "WindowCenter" in ds and "VOILUTSequence" not in ds:
        # From the middle of the least to the middle of the greatest value, as a display has 256 steps.
        modality = apply_modality_lut(image, ds).astype("f8")
        first = lambda v: float(v[0] if isinstance(v, pydicom.multival.MultiValue) else v)  # noqa: E731
        center, width = first(ds.WindowCenter), first(ds.WindowWidth)
        if width <= 1 or ds.get("VOILUTFunction", "LINEAR") != "LINEAR":
            return None
        grey = ((modality - (center - 0.5)) / (width - 1) + 0.5).clip(0, 1) * 255
        return 255 - grey if kind == "MONOCHROME1" else grey
    return image if image.ndim == 3 and ds.BitsAllocated == 8 else None


def rendered(client, one):
    """WADO-RS: a picture is of the size of the image, and has its values where the header alone says how it is shown."""

    def picture(media):
        data = client.retrieve_instance_rendered(*one.uids, media_types=(media,))
        image = Image.open(io.BytesIO(data))
        size = (int(one.set.Columns), int(one.set.Rows))
        told("wado-rendered", image.size == size and image.format == media[6:].upper(), one.label, media=media)
        expected = shown(one) if media == "image/png" else None
        if expected is not None:
            given = numpy.asarray(image).astype("f8")
            worst = abs(given - expected).max() if given.shape == expected.shape else -1
            # A step of a grey scale, or the rounding of a colour transform.
            told("wado-rendered-values", 0 <= worst <= (ROUNDING if one.syntax in LOSSY else 1.01), one.label, worst=float(worst))

    for media in ("image/png", "image/jpeg"):
        tried("wado-rendered", one.label, lambda media=media: picture(media))


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--url", required=True, help="https://HOST:PORT of the server")
    words.add_argument("--ca", required=True, help="the CA of its certificate, PEM")
    words.add_argument("--dimse", required=True, help="HOST:PORT at which it takes C-STORE")
    words.add_argument("--called", default="VITRINE", help="its AE title")
    words.add_argument("--caller", default="PYNETDICOM", help="the AE title that is let in")
    words.add_argument("--objects", required=True, type=pathlib.Path, help="folder of DICOM files of one known patient")
    args = words.parse_args()
    token = os.environ.get("VITRINE_TOKEN")
    if not token:
        words.error("VITRINE_TOKEN is not set")
    files = sorted(p for p in args.objects.rglob("*") if p.is_file())
    if not files:
        told("objects", False, str(args.objects), detail="there is nothing to send")
        return 2

    session = Recorder()
    session.verify = args.ca
    # A bundle named in the environment goes before `verify`, and is not this server's.
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {token}"
    client = DICOMwebClient(url=f"{args.url}/dicomweb", session=session)
    # A large body is given out once: what dicomweb-client would send again is empty.
    client.set_http_retry_params(retry=False)

    began = time.monotonic()
    sent = store_dimse(args, files)
    again(client, sent)
    sent += store_web(client, session, files)
    # What is not looked at yet is answered 503 for a moment.
    client.set_http_retry_params(retry=True, max_attempts=6, wait_exponential_multiplier=250)
    search(client, sent)
    wide(client, sent)
    for one in sent:
        objects(client, session, one)
        if "PixelData" in one.set:
            frames(client, one)
            rendered(client, one)
    if not sent:
        told("objects", False, detail="nothing was stored")
    kinds = {"pydicom": pydicom.__version__, "pynetdicom": pynetdicom.__version__}
    seconds = round(time.monotonic() - began, 1)
    print(json.dumps({"done": True, "objects": len(sent), "held": held, "failed": failed, "seconds": seconds, **kinds}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
