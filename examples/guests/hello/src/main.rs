//! Greets whom its arguments name.

#[ww_guest_sdk::main]
async fn main() {
    let names: Vec<_> = std::env::args().skip(1).collect();
    match names.as_slice() {
        [] => println!("Hello from a cell!"),
        names => println!("Hello, {}!", names.join(", ")),
    }
}
