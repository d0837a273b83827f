use proptest::prelude::*;

use super::*;

const HEAD: &str = "name = 'b'\ncurrency = 'EUR'\neffective_from = '2026-01-01T00:00:00Z'\n";

fn parse(rest: &str) -> Result<Book, BookError> {
    Book::parse(&format!("{HEAD}{rest}"))
}

fn check_refused(rest: &str, expected: &str) {
    let fault = parse(rest).unwrap_err();
    let source = std::error::Error::source(&fault);
    let told = source.map_or_else(|| fault.to_string(), |source| format!("{fault}: {source}"));
    assert!(told.contains(expected), "{rest}\n{told}");
}

fn group<'a>(scheduling: &'a str, isolation: &'a str) -> Attributes<'a> {
    Attributes {
        os: "linux",
        arch: "amd64",
        scheduling,
        isolation,
        gpu_model: "",
    }
}

fn shipped() -> Book {
    Book::parse(include_str!(
        "../../../../runtime-config/books/example.toml"
    ))
    .unwrap()
}

#[test]
fn the_shipped_book_is_a_book() {
    let book = shipped();
    assert_eq!(book.profile().name, "exact");
    let charged = |attributes| {
        let selected = select(book.skus(), &attributes).into_iter();
        let ids: Vec<&str> = selected.map(|sku| book.skus()[sku].id.as_str()).collect();
        ids.join(" ")
    };
    assert_eq!(
        charged(group("on-demand", "container")),
        "cpu ephemeral-storage gpu memory published-port volume"
    );
    assert_eq!(
        charged(group("spot", "vm")),
        "cpu-spot ephemeral-storage gpu isolation-vm memory-spot published-port volume"
    );
}

#[test]
fn the_canonical_text_is_the_same_book() {
    insta::assert_snapshot!(shipped().canonical());
    for text in [
        "",
        "profile = { name = 'aci' }",
        "profile = { name = 'fargate', states = 'fal', quantum_ns = 7, minimum_seconds = 3 }",
        "memory = { unit = 'GiB', step = '0.25', rounding = 'floor' }",
        "sku = [{ id = 'm', meter = 'memory', unit = 'GiB-730Hours', price = '00.10', included = '0.5' }]
         commitment = [{ id = 'c', sku = 'm', amount = '1.5', price = '0' }]
         machine = [{ name = 'm', cores = '0.5', memory_gib = '0.125', hourly_price = '1' }]
         sizes = { unit = 'GiB', size = [{ cpu = '1', memory_min = '1', memory_max = '2', memory_step = '0.5' }] }",
    ] {
        let book = parse(text).unwrap();
        let again = Book::parse(&book.canonical()).unwrap();
        assert_eq!(again, book, "{text}");
        assert_eq!(again.version(), book.version());
    }
}

#[test]
fn spelling_does_not_change_the_version_and_prices_do() {
    let sku = |price: &str| {
        format!("sku = [{{ id = 'c', meter = 'cpu', unit = 'Core-Hour', price = '{price}' }}]")
    };
    let version = |price: &str| parse(&sku(price)).unwrap().version();
    assert_eq!(version("0.10"), version("0.1"));
    assert_ne!(version("0.10"), version("0.11"));
    assert_eq!(version("0.1").to_string().len(), 64);
}

#[test]
fn what_is_no_book_is_told_with_its_place() {
    for (text, expected) in [
        ("unknown = 1", "unknown field"),
        (
            "profile = { name = 'lambda' }",
            "profile.name: \"lambda\" is none of exact, aci",
        ),
        ("profile = { states = 'none' }", "profile.states"),
        ("profile = { quantum_ns = 0 }", "profile.quantum_ns"),
        (
            "profile = { minimum_seconds = 86401 }",
            "profile.minimum_seconds",
        ),
        (
            "cpu = { step = '0.0001' }",
            "cpu.step: 0.0001 is not a whole number of 1/1000",
        ),
        ("cpu = { step = '0' }", "cpu.step"),
        ("cpu = { rounding = 'up' }", "neither ceil nor floor"),
        ("memory = { unit = 'MB' }", "neither GB nor GiB"),
        (
            "memory = { unit = 'GiB', step = '0.1' }",
            "not a whole number",
        ),
        (
            "sizes = { unit = 'GB', size = [{ cpu = '1', memory_min = '2', memory_max = '1', memory_step = '1' }] }",
            "sizes.size[0]",
        ),
        (
            "sku = [{ id = 'C', meter = 'cpu', unit = 'Core-Hour', price = '1' }]",
            "not a name",
        ),
        (
            "sku = [{ id = 'c', meter = 'cpus', unit = 'Core-Hour', price = '1' }]",
            "no meter \"cpus\"",
        ),
        (
            "sku = [{ id = 'c', meter = 'cpu', unit = 'GB-Hour', price = '1' }]",
            "cpu is not priced by",
        ),
        (
            "sku = [{ id = 'c', meter = 'cpu', unit = 'Core-Hour' }]",
            "price is missing",
        ),
        (
            "sku = [{ id = 'c', meter = 'cpu', unit = 'Core-Hour', price = 0.1 }]",
            "expected a string",
        ),
        (
            "sku = [{ id = 'c', meter = 'cpu', unit = 'Core-Hour', price = '-1' }]",
            "not a decimal number",
        ),
        (
            "sku = [{ id = 'c', meter = 'cpu', unit = 'Core-Hour', price = '1', match = { zone = 'a' } }]",
            "no attribute \"zone\"",
        ),
        (
            "sku = [{ id = 'c', base = 'd', factor = '1', match = { os = 'a' } }]",
            "base is no sku",
        ),
        (
            "machine = [{ name = 'm', cores = 'x', memory_gib = '1', hourly_price = '1' }]",
            "machine[0]",
        ),
        (
            "commitment = [{ id = 'c', sku = 'x', amount = '1', price = '1' }]",
            "there is no sku \"x\"",
        ),
    ] {
        check_refused(text, expected);
    }
    let dates = "name = 'b'\ncurrency = 'EUR'\neffective_from = 'yesterday'";
    assert!(
        Book::parse(dates)
            .unwrap_err()
            .to_string()
            .contains("effective_from")
    );
    let currency = "name = 'b'\ncurrency = '€'\neffective_from = '2026-01-01T00:00:00Z'";
    assert!(
        Book::parse(currency)
            .unwrap_err()
            .to_string()
            .contains("currency")
    );
    let long = "#".repeat(BOOK_BYTES_MAX + 1);
    assert_eq!(Book::parse(&long), Err(BookError::TooLong(long.len())));
}

#[test]
fn prices_of_one_line_never_fit_equally_well() {
    let sku = |id: &str, more: &str| {
        format!("{{ id = '{id}', meter = 'cpu', unit = 'Core-Hour', price = '1'{more} }}")
    };
    let two = |a: &str, b: &str| format!("sku = [{}, {}]", sku("a", a), sku("b", b));
    let same = "fit some group equally well";
    check_refused(&two("", ""), same);
    check_refused(
        &two(", match = { os = 'linux' }", ", match = { arch = 'arm64' }"),
        same,
    );
    check_refused(
        &format!("sku = [{}, {}]", sku("a", ""), sku("a", "")),
        "is there twice",
    );
    assert!(
        parse(&two(
            ", match = { os = 'linux' }",
            ", match = { os = 'windows' }"
        ))
        .is_ok()
    );
    assert!(parse(&two("", ", line = 'other'")).is_ok());
    assert!(parse(&two("", ", match = { os = 'linux' }")).is_ok());
}

#[test]
fn a_derived_price_is_exact_and_narrower() {
    let cpu = "{ id = 'c', meter = 'cpu', unit = 'Core-Second', price = '0.000000000000000001' }";
    let with = |derived: &str| format!("sku = [{cpu}, {derived}]");
    check_refused(
        &with("{ id = 'd', base = 'c', factor = '0.3', match = { os = 'a' } }"),
        "more than 18",
    );
    check_refused(
        &with("{ id = 'd', base = 'c', factor = '2' }"),
        "must ask for more",
    );
    check_refused(
        &with("{ id = 'd', base = 'c', factor = '2', unit = 'Core-Hour' }"),
        "only factor and match",
    );
    let book = parse(&with(
        "{ id = 'd', base = 'c', factor = '3', match = { os = 'a' } }",
    ))
    .unwrap();
    assert_eq!(book.skus()[1].price, Decimal::from_raw(3));
    assert_eq!(book.skus()[1].line, "cpu");
}

#[test]
fn a_shelf_has_one_book_at_a_time() {
    let dated = |name: &str, date: &str, currency: &str| {
        let text = format!("name = '{name}'\ncurrency = '{currency}'\neffective_from = '{date}'");
        Book::parse(&text).unwrap()
    };
    let (january, march) = (
        dated("january", "2026-01-01T00:00:00Z", "EUR"),
        dated("march", "2026-03-01T01:00:00+01:00", "EUR"),
    );
    let shelf = Shelf::new([march.clone(), january.clone(), january.clone()]).unwrap();
    assert_eq!(shelf.books().len(), 2);
    assert_eq!(shelf.currency(), Some("EUR"));
    let at = |moment: WallTime| shelf.at(moment).map(|book| book.name().to_owned());
    assert_eq!(at(WallTime(0)), None);
    assert_eq!(at(january.effective_from()).as_deref(), Some("january"));
    assert_eq!(
        at(WallTime(march.effective_from().0 - 1)).as_deref(),
        Some("january")
    );
    assert_eq!(at(march.effective_from()).as_deref(), Some("march"));
    let late = WallTime(march.effective_from().0 + 9);
    let shelf_of_late = Shelf::default().with(march.clone(), late).unwrap();
    let shelf_of_late = shelf_of_late.with(january.clone(), late).unwrap();
    assert_eq!(shelf_of_late.at(WallTime(late.0 - 1)), None);
    assert_eq!(shelf_of_late.at(late).unwrap().name(), "march");
    let rival = dated("rival", "2026-03-01T00:00:00Z", "EUR");
    assert!(matches!(
        shelf.with(rival, WallTime(0)),
        Err(ShelfError::SameMoment(..))
    ));
    let dollars = dated("dollars", "2027-01-01T00:00:00Z", "USD");
    assert!(matches!(
        shelf.with(dollars, WallTime(0)),
        Err(ShelfError::Currency { .. })
    ));
}

proptest! {
    /// No text makes the reader panic, near to a book as it may be.
    #[test]
    fn no_text_panics(cut in 0..4000_usize, put in "[\\[\\]='\"a-z0-9.\n-]{0,12}") {
        let text = include_str!("../../../../runtime-config/books/example.toml");
        let cut = text.floor_char_boundary(cut);
        let _ = Book::parse(&format!("{}{put}{}", &text[..cut], &text[cut..]));
    }
}
