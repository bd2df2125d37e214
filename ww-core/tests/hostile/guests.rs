//! The guests, by what they are after.

use crate::case::Case;

mod connections;
mod contracts;
mod floods;
mod handles;
mod hosts;
mod memories;
mod polls;
mod processors;
mod spawners;

/// All of them.
pub(crate) fn guests() -> Vec<Case> {
    let mut all = processors::cases();
    all.extend(memories::cases());
    all.extend(handles::cases());
    all.extend(polls::cases());
    all.extend(floods::cases());
    all.extend(contracts::cases());
    all.extend(connections::cases());
    all.extend(hosts::cases());
    all.extend(spawners::cases());
    all.push(memories::large());
    all
}
