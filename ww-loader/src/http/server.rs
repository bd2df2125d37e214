/// The server at `url`: scheme, host and port. The rest may hold a secret, as the user,
/// the path and the query of many a node do, and errors end up anywhere.
pub(crate) fn server(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return UNKNOWN.into();
    };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let place = authority.rsplit_once('@').map_or(authority, |(_, at)| at);
    let is_scheme = |char: char| char.is_ascii_alphanumeric() || "+-.".contains(char);
    match scheme.chars().all(is_scheme) && is_place(place) {
        true => format!("{scheme}://{place}"),
        false => UNKNOWN.into(),
    }
}

/// What is no address may be a secret anywhere.
const UNKNOWN: &str = "a server without a proper address";

/// Whether the text is a host, with or without a port. A password that is not escaped
/// as it should be looks like neither.
fn is_place(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (text, ""),
    };
    let v6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_host = match v6 {
        Some(host) => host
            .chars()
            .all(|char| char.is_ascii_hexdigit() || ":.".contains(char)),
        None => host
            .chars()
            .all(|char| char.is_alphanumeric() || "-._~".contains(char)),
    };
    !host.is_empty() && is_host && port.bytes().all(|digit| digit.is_ascii_digit())
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
            ("http://host\\secret@other", "http://host"),
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
