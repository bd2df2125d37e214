//! Calls across a membrane beside the same calls without it.

use criterion::Criterion;
use ww_benches::crossing::Between::{self, Allow, Membrane, Nothing, Two};
use ww_benches::crossing::Call::{Bytes, Capabilities, Pipelined};
use ww_benches::crossing::Place::{Exported, Forwarded, Imported, Local};
use ww_benches::crossing::{hand_out, take_back};
use ww_benches::{Outcome, Rounds, Table};

const WITHOUT: &str = "without it";

fn main() -> Outcome<()> {
    let criterion = &mut Criterion::default().configure_from_args();
    let table = &mut Table::new();

    for (place, name, goals) in [
        (Local, "local", [None, None, None]),
        (Exported, "to a host", [Some(1.1), Some(1.3), None]),
        (Imported, "from a host", [Some(1.1), Some(1.3), None]),
        (Forwarded, "through a host", [Some(1.1), Some(1.3), None]),
    ] {
        for (between, boundary) in [(Membrane, "membrane"), (Allow, "allowlist"), (Two, "two")] {
            for ((call, text), goal) in [
                (Bytes, "bytes"),
                (Capabilities, "capabilities"),
                (Pipelined, "pipelined"),
            ]
            .into_iter()
            .zip(goals)
            {
                let side = |between: Between| move |calls| place.calls(between, call, calls);
                let rounds = Rounds::new(side(between), side(Nothing));
                let goal = goal.filter(|_| between == Allow);
                let name = format!("{name}/{boundary}, {text}");
                table.row(criterion, &name, WITHOUT, goal, rounds);
            }
        }
    }

    let rounds = Rounds::new(
        |count| hand_out(Membrane, count),
        |count| hand_out(Nothing, count),
    );
    table.row(criterion, "wrap/fresh", "making it", None, rounds);
    let rounds = Rounds::new(
        |times| take_back(Membrane, 10_000, times),
        |times| take_back(Nothing, 10_000, times),
    );
    table.row(criterion, "revoke/10,000", "dropping 10,000", None, rounds);

    criterion.final_summary();
    table.print();
    Ok(())
}
