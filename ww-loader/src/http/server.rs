use std::net::Ipv6Addr;

use http::Uri;

/// What is no address may be a secret anywhere.
const UNKNOWN: &str = "a server without a proper address";

/// The server at `url`: scheme, host and port. The rest may hold a secret, as the user,
/// the path and the query of many a node do, and errors end up anywhere.
pub(crate) fn server(url: &str) -> String {
    let uri = url.parse().ok();
    uri.and_then(place).unwrap_or_else(|| UNKNOWN.into())
}

fn place(uri: Uri) -> Option<String> {
    let (scheme, host) = (uri.scheme_str()?, uri.host()?);
    let v6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    if v6.is_some_and(|v6| v6.parse::<Ipv6Addr>().is_err()) {
        return None;
    }
    let port = uri
        .port_u16()
        .map_or_else(String::new, |port| format!(":{port}"));
    // A password with a slash looks like a port that is none.
    let at = uri.authority()?.as_str().rsplit('@').next()?;
    (at == format!("{host}{port}")).then(|| format!("{scheme}://{at}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_without_what_may_be_secret() {
        for (url, name) in [
            ("http://host", "http://host"),
            ("https://a-b.example:8080/", "https://a-b.example:8080"),
            ("http://127.0.0.1:5001/secret", "http://127.0.0.1:5001"),
            ("https://[::1]:80/v3/secret?key=secret", "https://[::1]:80"),
            ("https://[2001:db8::1]", "https://[2001:db8::1]"),
            ("http://user:secret@host:1", "http://host:1"),
            ("http://user:secret:@secret@host/x@y", "http://host"),
            ("http://host?secret", "http://host"),
            ("http://host#secret", "http://host"),
            ("http://host\\secret@other", UNKNOWN),
            ("http://user:se/cret@host", UNKNOWN),
            ("http://:secret@", UNKNOWN),
            ("http://host:secret", UNKNOWN),
            ("user:secret@host", UNKNOWN),
            ("secret host://host", UNKNOWN),
            ("http://[secret]", UNKNOWN),
            ("secret", UNKNOWN),
            ("", UNKNOWN),
        ] {
            assert_eq!(server(url), name, "{url}");
        }
    }
}
