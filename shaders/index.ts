/** The text of every WGSL file, by path below shaders/ without the extension (collected by esbuild.config.mjs). */
import all from 'shaders:all';

export const sources: Readonly<Record<string, string>> = all;
