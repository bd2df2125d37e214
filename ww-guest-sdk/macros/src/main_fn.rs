use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Error, Ident, ItemFn, Result, parse2};

/// The plain `fn main` that runs `function` over the chosen transport.
pub(crate) fn expand(transport: TokenStream, function: TokenStream) -> Result<TokenStream> {
    let transport = transport_named(transport)?;
    let function: ItemFn = parse2(function)?;
    check(&function)?;

    let run = match (function.sig.inputs.len(), transport) {
        (0, None) => quote!(::ww_guest_sdk::entry::alone(main)),
        (0, Some(name)) => {
            return Err(Error::new(
                name.span(),
                "a transport needs a `main` that takes the host's capability",
            ));
        }
        (_, name) => {
            let name = name.map_or_else(|| "Turn".to_owned(), |name| camel_case(&name));
            let name = Ident::new(&name, Span::call_site());
            quote!(::ww_guest_sdk::entry::connected::<::ww_guest_sdk::entry::#name, _, _>(main))
        }
    };
    Ok(quote! {
        fn main() -> ::std::process::ExitCode {
            #function
            #run
        }
    })
}

fn transport_named(transport: TokenStream) -> Result<Option<Ident>> {
    if transport.is_empty() {
        return Ok(None);
    }
    let name: Ident = parse2(transport)?;
    if name == "streams" || name == "stdio" {
        return Ok(Some(name));
    }
    Err(Error::new(
        name.span(),
        "unknown transport: `streams`, `stdio`, or none",
    ))
}

fn check(function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    if signature.ident != "main" {
        return Err(Error::new_spanned(
            &signature.ident,
            "the entry point is called `main`",
        ));
    }
    if signature.asyncness.is_none() {
        return Err(Error::new_spanned(signature.fn_token, "`main` is `async`"));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &signature.generics,
            "`main` has no generic parameters",
        ));
    }
    if signature.inputs.len() > 1 {
        return Err(Error::new_spanned(
            &signature.inputs,
            "`main` takes the host's capability, or nothing",
        ));
    }
    Ok(())
}

fn camel_case(name: &Ident) -> String {
    let name = name.to_string();
    let (first, rest) = name.split_at(1);
    first.to_uppercase() + rest
}
