//! The entry-point attribute of `ww-guest-sdk`, which re-exports it: guests
//! depend on that crate alone.

mod main_fn;

use proc_macro::TokenStream;

/// Makes an `async fn main` the entry point of a guest.
///
/// ```text
/// #[ww_guest_sdk::main]            the fast way on Wetware's own hosts
/// #[ww_guest_sdk::main(streams)]   any host that has `wetware:streams`
/// #[ww_guest_sdk::main(stdio)]     RPC over standard input and output
/// ```
///
/// `main` takes the host's bootstrap capability, as the client type of the
/// author's choice, or nothing. A `main` that takes nothing has no RPC
/// connection, and its component imports no RPC interface. It returns
/// anything that implements `ww_guest_sdk::Outcome`: nothing, an `Exit` code,
/// or a `Result` of either.
///
/// With `stdio` the standard streams belong to the connection: text goes to
/// standard error.
#[proc_macro_attribute]
pub fn main(transport: TokenStream, function: TokenStream) -> TokenStream {
    main_fn::expand(transport.into(), function.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
