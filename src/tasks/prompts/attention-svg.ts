/** An attention map as an SVG: a heatmap of each branch with segments, and beside it the one without. */
import { heatmapsSvg, type Heatmap } from '../heatmap.ts';
import type { AttentionMap, WeightMap } from './attention-map.ts';

const heatmap = (title: string, { weights, entropy, clusterDistance }: WeightMap): Heatmap => ({
  title,
  figures: `entropy ${entropy.toFixed(3)} nats, cluster distance ${clusterDistance.toFixed(3)}`,
  weights,
});

/**
 * Draws the map, a row a branch, with its figures.
 * @param about lines above it
 */
export const attentionSvg = ({ tokens, branches }: AttentionMap, about: readonly string[] = []): string =>
  heatmapsSvg(
    tokens,
    branches.map(({ branch, withSegments, withoutSegments }) => [
      ...(withSegments ? [heatmap(`${branch}, with segments`, withSegments)] : []),
      heatmap(`${branch}, without segments`, withoutSegments),
    ]),
    'weight, mean over heads',
    about,
  );
