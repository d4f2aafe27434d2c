declare module 'shaders:all' {
  const sources: Readonly<Record<string, string>>;
  export default sources;
}
