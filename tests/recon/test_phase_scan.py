"""Scans: reading, preparing, geometry, results, the command line; and what bad input gets."""

import json

import h5py
import numpy as np
import pytest
import tifffile

from apps.cli.__main__ import main
from recon.phase.lab import lab_frame, lab_volumes, strain_along_q, to_lab
from recon.phase.prepare import PrepareConfig, prepare
from recon.phase.scan import Scan, read_scan
from recon.phase.spec import ScanGeometry, read_spec
from sorter.core.errors import InputError
from tests.recon.test_phase_iterate import crystal, pattern

SPEC = """#S 7  ascan  th -0.2 0.8  200 0.25
#P0 30 0.22 90 -5 0 10 10.2 -0.03
#P3 0 0 0 0.5 -1.9 500 0 9.2
#P4 9 90 -5
#UIMDET 34idcTIM2:
#UIMR5 4 40 2 44 1
#L Theta  Detector
-0.2 1
"""
GEOMETRY = ScanGeometry(9.0, 0.5, 55e-6, 30.0, 10.0, 0.005)


def scan(shape=(44, 48, 52), at=(20, 25, 24)):
    """A pattern of 40^3 somewhere in a larger scan."""
    counts = np.zeros(shape, np.float32)
    small = pattern(crystal(40), 1e6)
    where = tuple(slice(max(0, a - 20), a + 20) for a in at)
    cut = tuple(slice(max(0, 20 - a), min(40, 20 + n - a)) for a, n in zip(at, shape, strict=True))
    counts[where] = small[cut]
    return Scan("test", counts, np.zeros(shape, bool))


def test_a_scan_is_centred_and_cropped():
    found = prepare(scan())
    assert found.side == 32 and np.unravel_index(found.counts.argmax(), (32,) * 3) == (16, 16, 16)
    assert found.first_px == (4, 9, 8)
    assert prepare(scan(), PrepareConfig(side=40)).side == 40


@pytest.mark.parametrize("off", [(1, 0, 0), (0, -1, 2)])
def test_a_peak_beside_the_middle_is_centred(off):
    small = pattern(crystal(32), 1e6)
    small = np.roll(small, [16 - i for i in np.unravel_index(small.argmax(), small.shape)], (0, 1, 2))
    counts = np.roll(small, off, (0, 1, 2))
    found = prepare(Scan("test", counts, np.zeros(counts.shape, bool)))
    assert found.side == 32 and np.unravel_index(found.counts.argmax(), (32,) * 3) == (16, 16, 16)
    assert found.first_px == off and "outside of the scan" in found.remarks[-1]
    planes = [sum(found.bad_pixels.all(tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    assert planes == [abs(o) for o in off]
    seen = ~found.bad_pixels
    assert np.array_equal(found.counts[seen], small[seen])
    with pytest.raises(InputError, match="too near the border"):
        prepare(Scan("test", np.roll(small, -6, 1), np.zeros(counts.shape, bool)))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda c: c[:20], "too small"),
        (lambda c: c * 0, "all counts are zero"),
        (lambda c: np.where(c == 0, -1, c), "negative counts .* --negative-bad"),
        (lambda c: np.minimum(c, 500), "saturated; --saturation 500"),
        (lambda c: np.roll(c, 17, 0), "voxels from the border of axis 0"),
        (lambda c: np.maximum(c, np.roll(c, 20, 2) * 0.6), "several peaks"),
    ],
)
def test_bad_scans_get_one_line(spoil, message):
    found = scan()
    with pytest.raises(InputError, match=message) as error:
        prepare(
            Scan(
                "test",
                spoil(found.counts).astype(np.float32),
                np.zeros_like(found.bad_pixels[: len(spoil(found.counts))]),
            )
        )
    assert "\n" not in str(error.value)


def test_remedies_work():
    found = scan()
    counts = found.counts.copy()
    counts[0, 0, :9] = -1
    bad = prepare(Scan("test", counts, found.bad_pixels), PrepareConfig(negative_bad=True, side=40))
    assert bad.counts.min() == 0
    capped = np.minimum(found.counts, 500)
    left_out = prepare(Scan("test", capped, found.bad_pixels), PrepareConfig(saturation=500))  # the peak is among them
    assert left_out.bad_pixels.sum() == (capped == 500).sum() and left_out.counts.max() < 500
    broken = np.where(found.counts == found.counts.max(), np.nan, found.counts)
    assert "1 values that are no numbers" in prepare(Scan("test", broken, found.bad_pixels)).remarks[0]
    with pytest.raises(InputError, match="at most 44 fit"):
        prepare(found, PrepareConfig(side=64))
    with pytest.raises(InputError, match="outside"):
        prepare(found, PrepareConfig(center_px=(99, 0, 0)))


def test_files_of_every_kind(tmp_path):
    counts = scan().counts
    np.save(tmp_path / "a.npy", counts)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/data"] = counts
        file["entry/several"] = np.stack([counts[:8], counts[8:16]])
        file["entry/flat"] = counts[0]
    assert np.array_equal(read_scan(tmp_path / "a.npy").counts, counts)
    assert np.array_equal(read_scan(tmp_path / "a.h5").counts, counts)
    assert read_scan(tmp_path / "a.h5").remarks == (
        "a.h5: /entry/data is taken; --dataset chooses another: /entry/several",
    )
    assert np.array_equal(read_scan(tmp_path / "a.h5", dataset="entry/several", index=1).counts, counts[8:16])
    for dataset, index, message in (
        ("entry/several", None, "choose one with --index 0..1"),
        ("entry/several", 2, "not one of them"),
        ("entry/flat", None, "a 2-D frame"),
        ("entry/none", None, "no array entry/none"),
    ):
        with pytest.raises(InputError, match=message):
            read_scan(tmp_path / "a.h5", dataset=dataset, index=index)
    with pytest.raises(InputError, match="no such file"):
        read_scan(tmp_path / "b.npy")
    (tmp_path / "broken.npy").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="not a whole"):
        read_scan(tmp_path / "broken.npy")


@pytest.fixture
def folder(tmp_path):
    """A folder of frames of a region of the detector, with dark, white field and header."""
    counts = scan((44, 44, 40), (20, 22, 20)).counts
    place = tmp_path / "scan7"
    place.mkdir()
    for i, frame in enumerate(counts):
        tifffile.imwrite(place / f"frame_{i}.tif", frame.astype(np.int32))
    dark, white = np.zeros((64, 64), np.int32), np.full((64, 64), 1000, np.float32)
    dark[2 + 5, 4 + 6] = 7
    white[2 + 9, 4 + 3], white[2 + 22, 4 + 20] = 10, 2000
    tifffile.imwrite(place / "dark.tif", dark)
    tifffile.imwrite(place / "whitefield.tif", white)
    (place / "header.txt").write_text(SPEC)
    return place, counts


def test_a_folder_of_frames_with_its_header(folder):
    place, counts = folder
    found = read_scan(place)
    assert found.geometry == GEOMETRY
    assert np.argwhere(found.bad_pixels[0]).tolist() == [[5, 6], [9, 3]]
    assert found.counts[20, 22, 20] == pytest.approx(counts[20, 22, 20] / 2)
    assert found.counts[20, 22, 21] == pytest.approx(counts[20, 22, 21])
    (place / "whitefield.tif").unlink()
    tifffile.imwrite(place / "whitefield.tif", np.ones((20, 20), np.float32))
    with pytest.raises(InputError, match="do not cover"):
        read_scan(place)


def test_named_motors_and_missing_ones(tmp_path):
    path = tmp_path / "a.spec"
    path.write_text(
        "#F a\n#O0 Gamma  Energy  Delta\n#S 1 ascan th 0 1 10 1\n#P0 1 8 2\n#S 2 ascan th 0 1 20 1\n#P0 3 7 4\n"
    )
    found = read_spec(path, 2).geometry
    assert (found.energy_keV, found.delta_deg, found.gamma_deg, found.step_deg) == (7, 4, 3, 0.05)
    assert found.missing == ("distance_m", "pixel_m")
    with pytest.raises(InputError, match="no scan 3"):
        read_spec(path, 3)
    with pytest.raises(InputError, match=r"does not give distance_m, pixel_m: .* --distance-m, --pixel-m"):
        lab_frame(found, 32, "a")


def test_laboratory_frame_is_that_of_the_ewald_sphere():
    side = 64
    frame = lab_frame(GEOMETRY, side)
    wavelength_nm = 1.239841984 / 9
    two_theta = np.arccos(np.cos(np.radians(30)) * np.cos(np.radians(10)))
    assert frame.spacing_nm == pytest.approx(wavelength_nm / (2 * np.sin(two_theta / 2)))
    k = 2 * np.pi / wavelength_nm
    out = frame.q_inv_nm + np.array([0, 0, k])
    for step in frame.reciprocal_inv_nm[1:]:  # a pixel away is on the sphere, a pixel's angle away
        assert step @ out == pytest.approx(0, abs=1e-9)
        assert np.linalg.norm(step) == pytest.approx(k * 55e-6 / 0.5)
    assert frame.reciprocal_inv_nm[0] @ [0, 1, 0] == pytest.approx(0)  # rocking about the vertical
    # direct and reciprocal steps are those of one discrete Fourier transform
    assert frame.direct_nm @ frame.reciprocal_inv_nm.T * side == pytest.approx(2 * np.pi * np.eye(3), abs=1e-9)


def test_resampling_keeps_volume_and_displacement():
    frame = lab_frame(GEOMETRY, 32)
    place = np.stack(np.meshgrid(*[np.arange(32) - 16] * 3, indexing="ij"), -1) @ frame.direct_nm
    radius = 11 * np.linalg.norm(frame.direct_nm, axis=1).min()
    strain = 1e-4
    q = frame.q_inv_nm
    phase = strain * (place @ q)
    obj = ((np.linalg.norm(place, axis=-1) < radius) * np.exp(1j * phase)).astype(np.complex64)
    cubic, voxel_nm = to_lab(obj, frame)
    volume = abs(np.linalg.det(frame.direct_nm)) * (np.abs(obj) > 0).sum()
    assert np.abs(cubic).sum() * voxel_nm**3 == pytest.approx(volume, rel=0.1)
    inside = np.abs(cubic) > 0.95
    found = strain_along_q(np.angle(cubic), inside, frame, voxel_nm)
    assert np.nanmedian(found) == pytest.approx(strain, rel=0.1)
    volumes = lab_volumes(obj, frame)
    assert np.nanmedian(volumes.strain) == pytest.approx(strain, rel=0.1)
    assert np.isnan(volumes.displacement_nm[0, 0, 0]) and volumes.voxel_nm == voxel_nm


# -- command line


def test_command_line_iterates_a_folder(folder, tmp_path, capsys):
    place, _ = folder
    to = tmp_path / "out"
    arguments = [
        "recon",
        "phase",
        "iterate",
        str(place),
        "--recipe",
        "10ER 40HIO 10ER",
        "--starts",
        "2",
        "--to",
        str(to),
    ]
    assert main([*arguments, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["side"] == 32 and summary["chi2"] < 0.1 and summary["iterations"] == 60
    assert json.loads((to / "result.json").read_text())["chi2"] == summary["chi2"]
    page = (to / "report.html").read_text()
    for name in ("orthoslices", "surface", "pattern", "strain", "curves"):
        assert f'id="{name}"' in page and (to / f"{name}.png").stat().st_size > 5000
    with h5py.File(to / "reconstruction.h5") as file:
        assert file["amplitude"].shape == (32, 32, 32) and file["support"][...].sum() == summary["support_voxels"]
        assert file["lab/displacement_nm"].shape == file["lab/strain"].shape == (32, 32, 32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--recipe", "20XX"], "none of ER, HIO, RAAR"),
        (["--lab"], "no laboratory frame; give --energy-kev"),
        (["--side", "64"], "leaves the scan"),
        (["--threshold", "1e9"], "lower --threshold"),
    ],
)
def test_command_line_refuses_in_one_line(options, message, tmp_path, capsys):
    np.save(tmp_path / "a.npy", scan().counts)
    assert main(["recon", "phase", "iterate", str(tmp_path / "a.npy"), *options]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in error
