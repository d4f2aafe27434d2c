/** A WGSL file is a module that gives its text and those it includes (made by esbuild.config.mjs). */
declare module '*.wgsl' {
  const shader: import('./expand.ts').Shader;
  export default shader;
}
