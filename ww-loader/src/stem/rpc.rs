use std::time::Duration;

use serde_json::{Value, json};

use super::{StemError, abi};
use crate::http::{Http, HttpError, Request};

/// A node, as far as one question goes.
pub(super) struct Node<'a> {
    pub(super) http: &'a dyn Http,
    pub(super) url: &'a str,
    /// What it is called in errors.
    pub(super) name: &'a str,
    pub(super) timeout: Duration,
}

/// The longest answer that is read, in bytes. A block's header with the hashes
/// of its transactions is the longest that is asked for.
const MOST: usize = 1 << 20;

/// The code by which nodes say that they are asked too often (EIP-1474).
const LIMIT_EXCEEDED: i64 = -32005;

impl Node<'_> {
    /// Asks `method`, and takes nothing for an answer that the protocol does
    /// not.
    pub(super) async fn ask(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<Value, StemError> {
        let question = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let request = Request::post(self.url, question.to_string())
            .header("content-type", "application/json")
            .timeout(self.timeout);
        let failed = |source: HttpError| StemError::Http { method, source };
        let response = self.http.send(request).await.map_err(failed)?;
        let (status, retry_after) = (response.status, response.retry_after());
        let body = response.body.read(MOST).await.map_err(failed)?;
        let fault = |reason: String| self.fault(method, reason);
        let parsed = match &body {
            Some(body) => serde_json::from_slice(body).map_err(|error| error.to_string()),
            None => Err(format!("it has more than {MOST} bytes")),
        };
        match (status, parsed) {
            (429, _) => Err(self.limited(retry_after)),
            // Some nodes send the error itself with another status.
            (_, Ok(Value::Object(answer))) if answer.contains_key("error") => {
                Err(self.error(method, &answer["error"], retry_after))
            }
            (200, Ok(Value::Object(mut answer))) => {
                if answer.get("id") != Some(&json!(1)) {
                    return Err(fault("it is for another question".into()));
                }
                let result = answer.remove("result");
                result.ok_or_else(|| fault("it has neither a result nor an error".into()))
            }
            (200, Ok(_)) => Err(fault("it is no object".into())),
            (200, Err(reason)) => Err(fault(reason)),
            (status, _) => Err(StemError::Status {
                node: self.name.into(),
                method,
                status,
            }),
        }
    }

    /// Asks for a number.
    pub(super) async fn number(&self, method: &'static str) -> Result<u64, StemError> {
        let answer = self.ask(method, json!([])).await?;
        let number = number(&answer);
        number.ok_or_else(|| self.fault(method, format!("{} is no number", clip(&answer))))
    }

    pub(super) fn fault(&self, method: &'static str, reason: String) -> StemError {
        StemError::Answer {
            node: self.name.into(),
            method,
            reason,
        }
    }

    fn limited(&self, retry_after: Option<Duration>) -> StemError {
        StemError::RateLimited {
            node: self.name.into(),
            retry_after,
        }
    }

    fn error(
        &self,
        method: &'static str,
        error: &Value,
        retry_after: Option<Duration>,
    ) -> StemError {
        let code = error.get("code").and_then(Value::as_i64);
        let message = error.get("message").and_then(Value::as_str);
        match (code, message) {
            (Some(LIMIT_EXCEEDED), _) => self.limited(retry_after),
            (Some(code), message) => StemError::Rpc {
                node: self.name.into(),
                method,
                code,
                message: message.unwrap_or_default().chars().take(256).collect(),
            },
            (None, _) => self.fault(method, format!("{} is no error", clip(error))),
        }
    }
}

/// A quantity: `0x` and as few digits as it needs. More of them are borne with.
pub(super) fn number(value: &Value) -> Option<u64> {
    let digits = value.as_str()?.strip_prefix("0x")?;
    // `from_str_radix` takes a sign.
    let all_digits = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u64::from_str_radix(digits, 16).ok().filter(|_| all_digits)
}

/// Data: `0x` and two digits a byte.
pub(super) fn data(value: &Value) -> Option<Vec<u8>> {
    abi::bytes(value.as_str()?.strip_prefix("0x")?)
}

/// What of an answer goes into an error's text.
pub(super) fn clip(value: &Value) -> String {
    value.to_string().chars().take(96).collect()
}
