//! UnixFS data as protobuf has it.

use bytes::Bytes;
use prost::Message;

use super::{Data, Kind, Mtime};
use crate::ipld::CodecError;

/// Fields are written in the order of their tags.
#[derive(Clone, PartialEq, Eq, Message)]
struct Wire {
    #[prost(int32, optional, tag = "1")]
    kind: Option<i32>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    data: Option<Bytes>,
    #[prost(uint64, optional, tag = "3")]
    filesize: Option<u64>,
    #[prost(uint64, repeated, packed = "false", tag = "4")]
    blocksizes: Vec<u64>,
    #[prost(uint64, optional, tag = "5")]
    hash_type: Option<u64>,
    #[prost(uint64, optional, tag = "6")]
    fanout: Option<u64>,
    #[prost(uint32, optional, tag = "7")]
    mode: Option<u32>,
    #[prost(message, optional, tag = "8")]
    mtime: Option<WireTime>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct WireTime {
    #[prost(int64, optional, tag = "1")]
    seconds: Option<i64>,
    #[prost(fixed32, optional, tag = "2")]
    nanoseconds: Option<u32>,
}

const KINDS: [Kind; 6] = [
    Kind::Raw,
    Kind::Directory,
    Kind::File,
    Kind::Metadata,
    Kind::Symlink,
    Kind::HamtShard,
];

pub(super) fn decode(bytes: &Bytes) -> Result<Data, CodecError> {
    let fault = |reason: String| CodecError::UnixFs { reason };
    let wire = Wire::decode(bytes.clone()).map_err(|error| fault(error.to_string()))?;
    let number = wire.kind.ok_or_else(|| fault("it has no type".into()))?;
    let kind = usize::try_from(number)
        .ok()
        .and_then(|number| KINDS.get(number))
        .ok_or_else(|| fault(format!("there is no type {number}")))?;
    let mtime = wire.mtime.map(|time| match time.seconds {
        Some(seconds) => Ok(Mtime {
            seconds,
            nanoseconds: time.nanoseconds,
        }),
        None => Err(fault("a time without seconds".into())),
    });
    Ok(Data {
        kind: *kind,
        data: wire.data,
        filesize: wire.filesize,
        blocksizes: wire.blocksizes,
        hash_type: wire.hash_type,
        fanout: wire.fanout,
        mode: wire.mode,
        mtime: mtime.transpose()?,
    })
}

pub(super) fn encode(data: &Data) -> Vec<u8> {
    let number = KINDS.iter().position(|kind| *kind == data.kind);
    let wire = Wire {
        kind: number.and_then(|number| i32::try_from(number).ok()),
        data: data.data.clone(),
        filesize: data.filesize,
        blocksizes: data.blocksizes.clone(),
        hash_type: data.hash_type,
        fanout: data.fanout,
        mode: data.mode,
        mtime: data.mtime.map(|time| WireTime {
            seconds: Some(time.seconds),
            nanoseconds: time.nanoseconds,
        }),
    };
    wire.encode_to_vec()
}
