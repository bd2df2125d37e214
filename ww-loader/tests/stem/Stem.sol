// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// The head of a tree: whoever made the contract moves it, anybody reads it.
contract Stem {
    address public immutable owner = msg.sender;
    uint64 private seq;
    bytes private cid;

    event Moved(uint64 indexed seq, bytes cid);

    /// The number of the current head, 0 where there is none yet, and the root
    /// of its tree as a binary CID.
    function head() external view returns (uint64, bytes memory) {
        return (seq, cid);
    }

    /// Makes another tree the head.
    function advance(bytes calldata next) external {
        require(msg.sender == owner, "only the owner moves the head");
        seq += 1;
        cid = next;
        emit Moved(seq, next);
    }
}
