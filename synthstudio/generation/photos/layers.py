"""Layers of pastes: pixels with alpha, and the shadow on the photo.

Every paste becomes a `CutoutLayer` with the photo's sharpness, noise and haze.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from synthstudio.compose.blend import three
from synthstudio.compose.floor_shadow import standing_shadow
from synthstudio.core.arrays import F32, F64, U8
from synthstudio.core.images import LUMINANCE, linear_to_srgb_u8, srgb_to_linear, toned
from synthstudio.core.masks import mask_edges
from synthstudio.core.photo import PasteSpec, PhotoSpec
from synthstudio.core.rng import stream
from synthstudio.core.scene import CutoutLayer, Rendering, Shadow
from synthstudio.core.spec import FrameSpec, GreySpec, LensSpec, PlainBackdrop
from synthstudio.generation import pipeline
from synthstudio.generation.stage import FrameGenerator
from synthstudio.label.photo import Annotated, crop
from synthstudio.props.cutouts import cutout_layer, shown_part
from synthstudio.render import raster, shade
from synthstudio.render.pack import Packed, pack

_LEVELS = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
_LUMINANCE = LUMINANCE.astype(np.float32)
_RENDERED_SIGMA = 0.55
_CUTOUT_SIGMA = 0.7
_MAX_BLUR = 3.5
_MIN_ALPHA = 1 / 512
_MASK_SIGMA, _PAD_PX = 0.8, 3
_SPREAD = 0.8
_MIN_TIMES, _MAX_TIMES = 0.85, 1.7
"""Limits of the change of a paste's contrast, towards 0.8 of its surroundings'."""
_NEARER, _FAR_GREY = 0.3, 70.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Rendered:
    """Data of a rendered paste for its labels."""

    spec: FrameSpec
    built: pipeline.Built
    packed: Packed
    rendering: Rendering


@dataclass(frozen=True, kw_only=True, eq=False)
class PasteLayer:
    """A paste as a layer over the photo, and its shadow there."""

    paste: PasteSpec
    layer: CutoutLayer
    shadow: Shadow | None
    nearer: tuple[CutoutLayer, ...] = ()  # masks of the people in front of it
    rendered: Rendered | None = None


def paste_layers(
    stage: FrameGenerator, spec: PhotoSpec, people: Sequence[Annotated]
) -> tuple[PasteLayer, ...]:
    """Every paste of a spec as a layer, the nearest first."""
    return tuple(_paste_layer(stage, spec, place, people) for place in range(len(spec.pastes)))


def _paste_layer(
    stage: FrameGenerator, spec: PhotoSpec, place: int, people: Sequence[Annotated]
) -> PasteLayer:
    paste = spec.pastes[place]
    if paste.cutout is not None:
        layer, shadow, sigma = _from_cutout(stage, spec, paste)
        rendered = None
    else:
        layer, shadow, rendered = _from_render(stage, spec, paste)
        sigma = _RENDERED_SIGMA
    extra = math.sqrt(max(0.0, spec.lens.blur_sigma_px**2 - sigma**2))
    extra = math.hypot(min(extra, _MAX_BLUR), min(paste.blur_sigma_px, spec.width_px / 64))
    layer = _softened(layer, extra, (spec.width_px, spec.height_px))
    size = (spec.width_px, spec.height_px)
    nearer = tuple(_mask_layer(p, size) for p in people if p.instance in paste.behind)
    alpha = layer.alpha
    for mask in nearer:
        alpha = alpha * (1 - crop(mask, layer.left_px, layer.top_px, alpha.shape))
    if paste.surroundings is not None:
        layer = dataclasses.replace(layer, rgb=_match_surroundings(layer, paste.surroundings))
    layer = dataclasses.replace(layer, rgb=_match_photo(layer, spec, place), alpha=alpha)
    return PasteLayer(paste=paste, layer=layer, shadow=shadow, nearer=nearer, rendered=rendered)


def _mask_layer(person: Annotated, size: tuple[int, int]) -> CutoutLayer:
    """A person's mask with a soft edge, as an occluder of a paste."""
    soft = np.pad(person.mask.astype(np.float32), _PAD_PX)
    alpha = np.asarray(cv2.GaussianBlur(soft, (0, 0), _MASK_SIGMA), np.float32)
    left, top = person.left_px - _PAD_PX, person.top_px - _PAD_PX
    alpha = alpha[max(0, -top) : size[1] - top, max(0, -left) : size[0] - left]
    return CutoutLayer(
        instance=person.instance,
        left_px=max(0, left),
        top_px=max(0, top),
        rgb=np.zeros((*alpha.shape, 3), np.uint8),
        alpha=np.ascontiguousarray(alpha),
        depth_m=0.0,
    )


# Cut-outs ----------------------------------------------------------------------------------


def _from_cutout(
    stage: FrameGenerator, spec: PhotoSpec, paste: PasteSpec
) -> tuple[CutoutLayer, Shadow | None, float]:
    cutout = paste.cutout
    assert cutout is not None
    rgba = stage.cutout(cutout.asset)
    size = (spec.width_px, spec.height_px)
    layer = cutout_layer(cutout, rgba, instance=paste.instance, frame_wh=size)
    gained = toned(srgb_to_linear(_LEVELS) * np.array(paste.gain_rgb, np.float32), knee=0.8)
    if layer.rgb.size:
        rgb = np.asarray(cv2.LUT(layer.rgb, linear_to_srgb_u8(gained)), np.uint8)
        layer = dataclasses.replace(layer, rgb=rgb)
    shown = int((rgba[..., 3] > 0).any(axis=0).sum())
    sigma = max(cutout.feather_px, _CUTOUT_SIGMA * cutout.size_px[0] / max(1, shown))
    # The photo's sun direction is unknown.
    alpha = shown_part(cutout, rgba)[..., 3]
    shadow = standing_shadow(cutout, alpha, paste.camera) if paste.grounded else None
    return layer, shadow, sigma


# What is rendered --------------------------------------------------------------------------


def _from_render(
    stage: FrameGenerator, spec: PhotoSpec, paste: PasteSpec
) -> tuple[CutoutLayer, Shadow | None, Rendered]:
    """The layer of an object or a person drawn alone, its shadow on the floor, the scene.

    Rendered over black it is colour times alpha. Rendered over white without its sun, it gives
    the ambient shadow on the floor: soft, near the contact. The photo's sun
    direction is unknown.
    """
    drawn, alpha = render_alone(
        stage,
        seed=spec.seed,
        index=spec.index,
        camera=paste.camera,
        people=() if paste.person is None else (paste.person,),
        objects=() if paste.object is None else (paste.object,),
        light=paste.light,
        supersample=spec.supersample,
    )
    built, packed, over_black = drawn.built, drawn.packed, drawn.rendering
    white = np.full((spec.height_px, spec.width_px, 3), 255, np.uint8)
    overcast = dataclasses.replace(built.scene.light, sun_rgb=np.zeros(3))
    lit = dataclasses.replace(
        packed, scene=dataclasses.replace(built.scene, backdrop=white, light=overcast)
    )
    over_white = shade.render(lit, lit.scene)
    colour = srgb_to_linear(over_black.rgb)
    kept = np.where(alpha > 0, np.float32(1), srgb_to_linear(over_white.rgb) @ _LUMINANCE)
    # Under edge pixels the shadow is as dark as beside them.
    light: F32 = np.asarray(cv2.erode(kept.astype(np.float32), np.ones((3, 3), np.uint8)))
    light = np.where(alpha > 0, light, kept).astype(np.float32) ** np.float32(1.5)
    layer = unmultiplied(paste.instance, colour, alpha)
    shadow = Shadow(left_px=0, top_px=0, light=light) if paste.grounded else None
    return layer, shadow, drawn


def render_alone(stage: FrameGenerator, **fields: Any) -> tuple[Rendered, F32]:
    """Items over black, so colour times alpha, and their alpha (H, W); `fields`: a FrameSpec's."""
    black = PlainBackdrop(top_rgb=(0.0, 0.0, 0.0), bottom_rgb=(0.0, 0.0, 0.0))
    spec = FrameSpec(backdrop=black, lens=LensSpec(), skeleton=stage.skeleton.name, **fields)
    built = pipeline.build(stage, spec)
    camera = built.scene.camera
    dark = np.zeros((camera.height_px, camera.width_px, 3), np.uint8)
    packed = pack(dataclasses.replace(built.scene, backdrop=dark), device=stage.settings.device)
    rendering = shade.render(packed, packed.scene)
    scale = spec.supersample
    covered = raster.rasterise(packed, scale=scale).triangle >= 0
    samples = covered.reshape(camera.height_px, scale, camera.width_px, scale)
    alpha = np.asarray(samples.mean(axis=(1, 3)), np.float32)
    return Rendered(spec=spec, built=built, packed=packed, rendering=rendering), alpha


def unmultiplied(instance: int, premultiplied: F32, alpha: F32) -> CutoutLayer:
    """Linear colours times alpha as a layer, cropped to where alpha is not 0."""
    x0, y0, x1, y1 = mask_edges(alpha != 0)
    part = np.ascontiguousarray(alpha[y0:y1, x0:x1])
    colour = premultiplied[y0:y1, x0:x1] / np.maximum(part, 1 / 64)[..., None]
    return CutoutLayer(
        instance=instance,
        left_px=x0,
        top_px=y0,
        rgb=linear_to_srgb_u8(np.clip(colour, 0, 1)),
        alpha=part,
        depth_m=0.0,
    )


# Photo's image quality ---------------------------------------------------------------------


def _softened(layer: CutoutLayer, sigma: float, size: tuple[int, int]) -> CutoutLayer:
    """The layer blurred by `sigma` px, colours weighted by alpha, clipped to the photo.

    At the photo's border the layer is extended: it was clipped there.
    """
    h, w = layer.alpha.shape
    if sigma < 0.2 or h == 0 or w == 0:
        return layer
    m = math.ceil(3 * sigma)
    at_border = (
        layer.top_px <= 0,
        layer.top_px + h >= size[1],
        layer.left_px <= 0,
        layer.left_px + w >= size[0],
    )
    colours = [channel * layer.alpha for channel in cv2.split(srgb_to_linear(layer.rgb))]
    padded = cv2.merge([*colours, layer.alpha])
    top, bottom, left, right = (m * own for own in at_border)
    padded = cv2.copyMakeBorder(padded, top, bottom, left, right, cv2.BORDER_REPLICATE)
    around = (m - top, m - bottom, m - left, m - right)
    padded = cv2.copyMakeBorder(padded, *around, cv2.BORDER_CONSTANT)
    soft = np.asarray(cv2.GaussianBlur(padded, (0, 0), sigma), np.float32)
    x0, y0 = max(0, layer.left_px - m), max(0, layer.top_px - m)
    x1, y1 = min(size[0], layer.left_px + w + m), min(size[1], layer.top_px + h + m)
    ox, oy = layer.left_px - m, layer.top_px - m
    *soft_rgb, whole = cv2.split(soft[y0 - oy : y1 - oy, x0 - ox : x1 - ox])
    alpha = np.minimum(whole, 1)
    alpha[alpha < _MIN_ALPHA] = 0
    below = np.maximum(whole, 1e-4)
    colour = np.asarray(cv2.merge([channel / below for channel in soft_rgb]), np.float32)
    return CutoutLayer(
        instance=layer.instance,
        left_px=x0,
        top_px=y0,
        rgb=linear_to_srgb_u8(np.clip(colour, 0, 1)),
        alpha=np.ascontiguousarray(alpha),
        depth_m=0.0,
    )


def _match_surroundings(layer: CutoutLayer, about: GreySpec) -> U8:
    """The layer's colours (h, w, 3) with grey levels moved towards those of its surroundings.

    Only partly: an object may be darker or plainer than its surroundings.
    """
    weight = layer.alpha.astype(np.float64)
    if weight.sum() < 1:
        return layer.rgb
    grey = layer.rgb @ _LUMINANCE
    mean = float((grey * weight).sum() / weight.sum())
    spread = math.sqrt(float(((grey - mean) ** 2 * weight).sum() / weight.sum()))
    times = min(max(_SPREAD * about.spread / max(spread, 1.0), _MIN_TIMES), _MAX_TIMES)
    shift = _NEARER * min(max(about.mean - mean, -_FAR_GREY), _FAR_GREY)
    # All channels by the factor of the grey: hues stay.
    target = np.clip(mean + shift + (grey - mean) * times, 1, 254)
    factor = np.clip(target / np.maximum(grey, 4.0), 0.4, 2.5)
    matched: F32 = layer.rgb * three(factor)
    return np.clip(np.rint(matched, out=matched), 0, 255, out=matched).astype(np.uint8)


def _match_photo(layer: CutoutLayer, spec: PhotoSpec, place: int) -> U8:
    """The layer's colours (h, w, 3) with the photo's haze, saturation and noise."""
    colour: F32 = srgb_to_linear(layer.rgb)
    if not colour.size:
        return layer.rgb
    grey = three(colour @ _LUMINANCE)
    colour -= grey
    colour *= np.float32(spec.tone.saturation)
    colour += grey
    black = np.float32(spec.tone.black)
    colour *= 1 - black
    colour += black
    rgb = linear_to_srgb_u8(colour)
    if spec.tone.chroma is not None:
        rgb = _as_colourful(rgb, layer.alpha, spec.tone.chroma)
    if spec.lens.noise_sigma <= 0:
        return rgb
    rng = stream(spec.lens.noise_seed, "paste-noise", place)
    noise = rng.standard_normal(rgb.shape[:2])
    grain: F64 = np.asarray(cv2.GaussianBlur(noise, (0, 0), 0.6), np.float64)
    grain *= spec.lens.noise_sigma / max(float(grain.std()), 1e-6)
    noisy: F64 = rgb + three(grain)
    return np.clip(np.rint(noisy, out=noisy), 0, 255, out=noisy).astype(np.uint8)


def _as_colourful(rgb: U8, alpha: F32, maximum: float) -> U8:
    """Colours (h, w, 3) of which no more than a twentieth exceed the photo's chroma.

    Pixels below it are unchanged: skin does not pale beside a bright coat.
    """
    r, g, b = cv2.split(rgb)
    apart = cv2.max(cv2.max(r, g), b) - cv2.min(cv2.min(r, g), b)
    shown = apart[alpha >= 0.5]
    own = float(np.quantile(shown, 0.95)) if shown.size else 0.0
    if own <= maximum:
        return rgb
    grey = three(rgb.astype(np.float32) @ _LUMINANCE)
    kept = np.minimum(1, np.float32(maximum) / np.maximum(apart.astype(np.float32), 1))
    paler: F32 = grey + (rgb - grey) * three(kept)
    return np.clip(np.rint(paler), 0, 255).astype(np.uint8)
