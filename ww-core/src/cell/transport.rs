/// Where a cell speaks RPC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// Where its imports say: a component that imports `wetware:streams` (or
    /// the private interface of `ww-guest-sdk`) has its connection there, any
    /// other has none.
    #[default]
    Imports,
    /// Over its standard input and output. From its imports alone nobody can
    /// tell such a guest from another, so it has to be said.
    Stdio,
}
