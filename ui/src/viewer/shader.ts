/**
 * The shaders of `gl.ts`: the arithmetic of `voi.ts` and `canvas2d.ts` once more. Values stay integers up to the VOI. One
 * program for each way to look, so that a pixel decides nothing that is the same for all of them.
 */
import type { Colour } from './renderer';

export const VERTEX = `#version 300 es
void main() {
  // One triangle over everything.
  gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0.0, 1.0);
}`;

export type VoiKind = 'LINEAR' | 'LINEAR_EXACT' | 'SIGMOID' | 'TABLE';

/** What is the same for every pixel of a picture. */
export interface Way {
  signed: boolean;
  colour: Colour;
  voi: VoiKind;
  /** A modality table in the place of the rescale. */
  lut: boolean;
  padded: boolean;
  /** Several samples in a pixel of the screen. */
  several: boolean;
}

/** From the raw texel to the value or the colour. */
function texel({ colour, lut }: Way): string {
  switch (colour) {
    case 'rgb':
      return 'return clamp(vec3(raw) / uMost, 0.0, 1.0);';
    case 'ybr':
      return `vec2 c = vec2(raw.yz) - uHalf;
  float y = float(raw.x);
  return clamp(vec3(y + 1.402 * c.y, y - 0.344136 * c.x - 0.714136 * c.y, y + 1.772 * c.x) / uMost, 0.0, 1.0);`;
    case 'palette':
      return `int at = clamp(int(raw.r) - uPaletteRange.x, 0, uPaletteRange.y - 1);
  return vec3(texelFetch(uPalette, ivec2(at & 255, at >> 8), 0).rgb) / 255.0;`;
    case 'grey':
      // The rescale is a line: it may as well be applied to what was interpolated.
      return lut ? 'return vec3(float(entry(uLut, uLutRange, float(raw.r))));' : 'return vec3(float(raw.r));';
  }
}

const VOIS: Record<VoiKind, string> = {
  LINEAR: `float low = uWindow.x - 0.5 - (uWindow.y - 1.0) / 2.0;
  float high = uWindow.x - 0.5 + (uWindow.y - 1.0) / 2.0;
  float between = (value - (uWindow.x - 0.5)) / max(uWindow.y - 1.0, 1e-6) + 0.5;
  return value <= low ? 0.0 : value > high ? 1.0 : between;`,
  LINEAR_EXACT: 'return clamp((value - uWindow.x) / uWindow.y + 0.5, 0.0, 1.0);',
  SIGMOID: 'return 1.0 / (1.0 + exp(clamp(-4.0 * (value - uWindow.x) / uWindow.y, -80.0, 80.0)));',
  TABLE: 'return min(1.0, float(entry(uTable, uTableRange, value)) / uTableMost);',
};

const SAMPLE = `
  vec2 at = clamp((f - 0.5) * uScale + uShift, vec2(0.0), vec2(uLayer - 1));
  ivec2 low = ivec2(at);
  ivec2 high = min(low + 1, uLayer - 1);
  vec2 part = at - vec2(low);`;

/** Four corners, weighed; those that are no image weigh nothing. */
function corners({ padded }: Way, raw: string): string {
  const corner = (x: string, y: string) => `texelFetch(uPixels, ivec2(${x}.x, ${y}.y), 0)`;
  const all = `${raw} r0 = ${corner('low', 'low')};
  ${raw} r1 = ${corner('high', 'low')};
  ${raw} r2 = ${corner('low', 'high')};
  ${raw} r3 = ${corner('high', 'high')};`;
  if (!padded) return `${all}
  return vec4(mix(mix(texel(r0), texel(r1), part.x), mix(texel(r2), texel(r3), part.x), part.y), 1.0);`;
  return `${all}
  vec4 stored = vec4(r0.r, r1.r, r2.r, r3.r);
  vec4 image = 1.0 - step(uPadding.x, stored) * step(stored, vec4(uPadding.y));
  vec4 w = vec4((1.0 - part.x) * (1.0 - part.y), part.x * (1.0 - part.y), (1.0 - part.x) * part.y, part.x * part.y) * image;
  return vec4(w.x * texel(r0) + w.y * texel(r1) + w.z * texel(r2) + w.w * texel(r3), w.x + w.y + w.z + w.w);`;
}

export function fragment(way: Way): string {
  const raw = way.signed ? 'ivec4' : 'uvec4';
  const isGrey = way.colour === 'grey';
  const rescaled = isGrey && !way.lut ? 'vec3(color.r * uRescale.x + uRescale.y)' : 'color';
  const one = 'vec4 sum = sampled(vec2(dot(uBackX, vec3(corner + 0.5, 1.0)), dot(uBackY, vec3(corner + 0.5, 1.0))));';
  const several = `vec4 sum = vec4(0.0);
  for (int j = 0; j < uTaps; j++) {
    for (int i = 0; i < uTaps; i++) {
      vec3 p = vec3(corner + (vec2(i, j) + 0.5) / float(uTaps), 1.0);
      sum += sampled(vec2(dot(uBackX, p), dot(uBackY, p)));
    }
  }
  sum /= float(uTaps * uTaps);`;
  return `#version 300 es
precision highp float;
precision highp int;
uniform highp ${way.signed ? 'isampler2D' : 'usampler2D'} uPixels;
uniform highp usampler2D uLut;
uniform highp usampler2D uTable;
uniform highp usampler2D uPalette;
uniform vec2 uSize;
uniform vec3 uBackX;
uniform vec3 uBackY;
uniform vec2 uEdge;
uniform ivec2 uLayer;
uniform vec2 uScale;
uniform vec2 uShift;
uniform int uTaps;
uniform float uMost;
uniform float uHalf;
uniform vec2 uRescale;
uniform ivec2 uLutRange;
uniform ivec2 uPaletteRange;
uniform vec2 uPadding;
uniform vec2 uWindow;
uniform ivec2 uTableRange;
uniform float uTableMost;
uniform vec2 uInvert;
out vec4 result;

uint entry(highp usampler2D table, ivec2 range, float value) {
  int at = clamp(int(floor(value + 0.5)) - range.x, 0, range.y - 1);
  return texelFetch(table, ivec2(at & 255, at >> 8), 0).r;
}

vec3 texel(${raw} raw) {
  ${texel(way)}
}

float grey(float value) {
  ${VOIS[way.voi]}
}

vec4 sampled(vec2 f) {
  // Beyond the picture there is nothing.
  if (any(lessThan(f, vec2(-uEdge.x))) || any(greaterThan(f, uSize + uEdge.x))) return vec4(0.0);
  ${SAMPLE}
  ${corners(way, raw)}
}

void main() {
  vec2 corner = vec2(gl_FragCoord.x, uEdge.y - gl_FragCoord.y) - 0.5;
  ${way.several ? several : one}
  if (sum.a < 0.499) {
    result = vec4(0.0, 0.0, 0.0, 1.0);
    return;
  }
  vec3 color = sum.rgb / sum.a;
  ${isGrey ? `color = vec3(grey((${rescaled}).r));` : ''}
  result = vec4(uInvert.x + uInvert.y * color, 1.0);
}`;
}
