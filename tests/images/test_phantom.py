"""Synthetic photographs: the same from the same key, the same scene at every size, true to their skin type."""

from collections import Counter
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sluguq.images.phantom import CONDITIONS, SKIN_TYPES, phantom_records, render
from sluguq.images.phantom.fields import noise
from sluguq.images.phantom.hair import draw_hair
from sluguq.images.phantom.light import photograph
from sluguq.images.phantom.optics import skin_reflectance
from sluguq.images.phantom.subjects import patient_of
from sluguq.images.skin_colour import (
    ITA_CLASSES,
    ita,
    ita_class,
    ita_of_lab,
    linear_to_srgb,
    srgb_to_lab,
    srgb_to_linear,
)

# One Fitzpatrick type for each class, from very light to dark.
CLASS_OF = dict(zip(range(1, 7), (name for name, _ in ITA_CLASSES), strict=True))


def averaged(pixels: np.ndarray, size: int) -> np.ndarray:
    """An image averaged down in linear light, in sRGB levels 0..255."""
    step = pixels.shape[0] // size
    linear = srgb_to_linear(pixels / 255.0).reshape(size, step, size, step, 3).mean(axis=(1, 3))
    return linear_to_srgb(linear) * 255


@settings(max_examples=40, deadline=None)
@given(
    fst=st.integers(1, 6), seed=st.integers(0, 2**40), index=st.integers(0, 999_999), size=st.sampled_from((32, 45, 64))
)
def test_any_image_is_whole(fst, seed, index, size):
    image = render(fst, seed=seed, index=index, size=size)
    assert image.pixels.dtype == np.uint8
    assert image.pixels.shape == (size, size, 3)
    assert image.lesion_mask.dtype == bool
    assert image.lesion_mask.shape == (size, size)
    assert 0 < image.lesion_mask.mean() < 0.7
    assert image.condition in CONDITIONS
    assert image.pixels.std() > 1


def test_an_image_depends_on_its_key_alone():
    order = [(fst, index) for fst in (1, 4, 6) for index in range(4)]
    forward = {key: render(key[0], seed=3, index=key[1], size=32) for key in order}
    np.random.seed(0)  # noqa: NPY002 - no global generator may matter
    backward = {key: render(key[0], seed=3, index=key[1], size=32) for key in reversed(order)}
    for key in order:
        np.testing.assert_array_equal(forward[key].pixels, backward[key].pixels)
        np.testing.assert_array_equal(forward[key].lesion_mask, backward[key].lesion_mask)
        assert forward[key][2:] == backward[key][2:]
    pictures = {image.pixels.tobytes() for image in forward.values()}
    pictures.add(render(1, seed=4, index=0, size=32).pixels.tobytes())
    assert len(pictures) == len(order) + 1


def test_records_are_those_of_the_images_and_do_not_depend_on_the_counts():
    few = list(phantom_records({5: 7, 2: 3}, seed=9))
    many = {record.id: record for record in phantom_records({5: 40, 2: 20, 1: 2}, seed=9)}
    assert [record.fst for record in few] == [2] * 3 + [5] * 7
    assert few[3].id == "phantom-s9-fst5-000000"
    assert len(many) == 62
    for record in few:
        assert many[record.id] == record
        image = render(record.fst, seed=9, index=record.index, size=32)
        assert (image.condition, image.patient, image.site) == (record.condition, record.patient, record.site)


def test_some_patients_have_two_or_three_images_of_the_same_skin():
    records = list(phantom_records({3: 200}, seed=1))
    runs = [list(run) for _, run in groupby(records, key=lambda record: record.patient)]
    assert len({run[0].patient for run in runs}) == len(runs)  # a patient's images follow each other
    sizes = Counter(len(run) for run in runs)
    assert set(sizes) == {1, 2, 3}
    assert sizes[1] > sizes[2] > 0
    for run in runs[:40]:
        skins = {patient_of(3, seed=1, index=record.index) for record in run}
        assert len(skins) == 1
    assert len({patient_of(3, seed=1, index=run[0].index).lab for run in runs}) == len(runs)
    assert {record.condition for record in records} == set(CONDITIONS)


def test_skin_types_have_their_published_angles():
    previous = np.inf
    for fst in SKIN_TYPES:
        angles = [patient_of(fst, seed=0, index=index).ita for index in range(0, 1200, 4)]
        inside = np.mean([ita_class(angle) == CLASS_OF[fst] for angle in angles])
        assert inside > 0.9
        assert np.std(angles) > 1.5
        assert np.mean(angles) < previous - 5
        previous = np.mean(angles)
        patient = patient_of(fst, seed=0, index=0)
        assert ita_of_lab(patient.lab) == pytest.approx(patient.ita)


def test_photographs_show_the_skin_of_their_patients():
    base, seen, types = [], [], []
    for fst in SKIN_TYPES:
        for index in range(12):
            image = render(fst, seed=2, index=index, size=48)
            base.append(image.ita)
            seen.append(ita(image.pixels, ~image.lesion_mask))
            types.append(fst)
    types, seen = np.array(types), np.array(seen)
    assert stats.spearmanr(base, seen).statistic > 0.95
    medians = [np.median(seen[types == fst]) for fst in SKIN_TYPES]
    assert [ita_class(median) for median in medians] == list(CLASS_OF.values())


@pytest.mark.parametrize("fst", [1, 3, 6])
def test_every_size_shows_the_same_scene(fst):
    for index in range(3):
        images = {size: render(fst, seed=5, index=index, size=size) for size in (32, 64, 128, 256)}
        # Up to 128 px all are averages of one canvas: only the rounding to 8 bits differs.
        for small in (32, 64):
            difference = averaged(images[128].pixels, small) - images[small].pixels
            assert np.abs(difference).max() < 2
        # Above, finer texture and finer noise are added to the same scene.
        difference = averaged(images[256].pixels, 64) - images[64].pixels
        assert np.abs(difference.mean(axis=(0, 1))).max() < 1
        assert np.abs(difference).mean() < 4
        share = images[256].lesion_mask.reshape(64, 4, 64, 4).mean(axis=(1, 3))
        assert np.mean((share >= 0.5) == images[64].lesion_mask) > 0.97
        assert len({image[2:] for image in images.values()}) == 1
    odd = render(fst, seed=5, index=0, size=100)
    assert np.abs(averaged(odd.pixels, 10).mean() - render(fst, seed=5, index=0, size=64).pixels.mean()) < 1


def test_pigments_change_dark_skin_less_and_their_loss_changes_it_more():
    none = np.zeros((1, 1), np.float32)

    def difference(lab, melanin=0.0, haemoglobin=0.0, missing=0.0):
        """Colour difference (CIE 1976) that a dose makes."""
        doses = (none + np.float32(dose) for dose in (melanin, haemoglobin, missing))
        before, after = skin_reflectance(lab, none, none, none), skin_reflectance(lab, *doses)
        both = srgb_to_lab(linear_to_srgb(np.stack([before, after])[..., 0, 0].astype(float)))
        np.testing.assert_allclose(both[0], lab, atol=0.01)  # without a dose it is the base colour
        return np.linalg.norm(both[1] - both[0])

    skins = [
        (50 + kind.yellowness * np.tan(np.radians(kind.ita)), kind.redness, kind.yellowness)
        for kind in SKIN_TYPES.values()
    ]
    assert (np.diff([difference(lab, melanin=1.0) for lab in skins]) < 0).all()
    assert (np.diff([difference(lab, haemoglobin=0.6) for lab in skins]) < 0).all()
    assert (np.diff([difference(lab, missing=0.6) for lab in skins]) > 0).all()


def test_lesions_look_like_their_condition():
    """Within its mask each kind differs from the skin around it in the direction that its pigments give."""
    found = {condition: [] for condition in CONDITIONS}
    for record in phantom_records({4: 60}, seed=0):
        image = render(4, seed=0, index=record.index, size=48)
        lab = srgb_to_lab(image.pixels)
        inside, outside = (np.median(lab[mask], axis=0) for mask in (image.lesion_mask, ~image.lesion_mask))
        found[image.condition].append(inside - outside)
    for condition in ("naevus", "macule", "keratosis", "plaque", "erythema"):
        assert np.median(found[condition], axis=0)[0] < -2, condition
    for condition in ("plaque", "erythema"):
        assert np.median(found[condition], axis=0)[1] > 3, condition
    assert np.median(found["hypopigmentation"], axis=0)[0] > 3
    assert np.median(np.linalg.norm(found["nodule"], axis=1)) > 5


@pytest.mark.parametrize("slope", [0.0, 1.5])
def test_fields_are_of_unit_variance_and_the_same_on_every_grid(slope):
    def field(n, key):
        return noise(np.random.default_rng(key), n, slope=slope, lowest=4.0, highest=60.0)

    fields = np.array([field(128, key) for key in range(20)])
    assert fields.mean() == pytest.approx(0.0, abs=0.01)
    assert fields.var() == pytest.approx(1.0, rel=0.1)
    # Every third pixel of a grid three times as fine lies where a pixel of the coarse one does.
    np.testing.assert_allclose(field(384, 0)[1::3, 1::3], fields[0], atol=1e-5)


def test_a_fields_spectrum_has_the_slope_asked_for():
    field = noise(np.random.default_rng(1), 256, slope=1.5)
    power = np.abs(np.fft.fft2(field)) ** 2
    k = np.fft.fftfreq(256, 1 / 256)
    radius = np.hypot(k[:, None], k[None, :]).ravel()
    chosen = (radius > 4) & (radius < 100)
    slope = np.polyfit(np.log(radius[chosen]), np.log(power.ravel()[chosen]), 1)[0]
    assert slope == pytest.approx(-3.0, abs=0.1)


def test_finer_grids_keep_the_coarse_waves_and_add_finer_ones():
    coarse, fine = (noise(np.random.default_rng(1), n, slope=1.0) for n in (128, 512))
    spectra = [np.fft.fft2(field, norm="forward")[:40, :40] for field in (coarse, fine)]
    shifted = spectra[1] * np.exp(1j * np.pi * (1 / 128 - 1 / 512) * np.add.outer(np.arange(40), np.arange(40)))
    np.testing.assert_allclose(shifted, spectra[0], atol=1e-5)
    assert fine.var() > coarse.var()


def test_sensor_noise_is_the_same_at_every_size_once_averaged():
    deviations = {}
    for n in (128, 512):
        grey = np.full((3, n, n), 0.3, np.float32)
        seen = photograph(np.random.default_rng(0), grey)
        deviations[n] = seen.reshape(3, 128, n // 128, 128, n // 128).mean(axis=(2, 4)).std(axis=(1, 2)).mean()
    assert 0.001 < deviations[128] < 0.02
    assert deviations[512] == pytest.approx(deviations[128], rel=0.03)


def test_hairier_patients_show_more_hair_and_the_hairless_none():
    patient = patient_of(3, seed=0, index=0)
    cover = [
        draw_hair(np.random.default_rng(0), patient._replace(hairiness=amount), "leg", 128).mean()
        for amount in (0.0, 0.4, 1.0)
    ]
    assert cover[0] == 0
    assert 0 < cover[1] < cover[2] < 0.5


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="skin type from 1 to 6, not 7"):
        render(7, seed=0, index=0, size=64)
    with pytest.raises(ValueError, match="seed must be 0 or more"):
        render(1, seed=-1, index=0, size=64)
    with pytest.raises(ValueError, match="index must be 0 or more"):
        render(1, seed=0, index=-1, size=64)
    for size in (31, 513):
        with pytest.raises(ValueError, match=f"from 32 to 512 pixels, not {size}"):
            render(1, seed=0, index=0, size=size)
    with pytest.raises(ValueError, match="not 0"):
        phantom_records({0: 3}, seed=0)
    with pytest.raises(ValueError, match="FST 2 must be 0 or more, not -3"):
        phantom_records({2: -3}, seed=0)
