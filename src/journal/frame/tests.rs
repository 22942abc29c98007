//! What is encoded comes back; what is not ours never panics.

use proptest::prelude::*;

use super::*;

/// As it would be read: names by their numbers.
fn read_again<'a>(intent: Intent<'a>, sets: &Sets) -> Intent<'a, Local> {
    let [key, owner, team, organisation, agent, dialect] = sets.of_intent(&intent).map(|name| Local(name.number()));
    let Intent { call, at, session, user, asked, hold, known, .. } = intent;
    let (agent, dialect) = (Said::Read(agent), Said::Read(dialect));
    Intent { call, at, key, owner, team, organisation, agent, dialect, session, user, asked, hold, known }
}

fn body(out: &[u8]) -> &[u8] {
    assert_eq!(u32::from_le_bytes(out[..4].try_into().unwrap()) as usize, out.len() - HEAD);
    assert_eq!(u32::from_le_bytes(out[4..8].try_into().unwrap()), crc32fast::hash(&out[HEAD..]));
    &out[HEAD..]
}

fn an_intent<'a>(numbers: [u64; 4], session: &'a str, user: &'a str, asked: &'a str) -> Intent<'a> {
    let [call, at, hold, known] = numbers;
    Intent {
        call,
        at,
        key: Name::of("frame-key"),
        owner: Name::of("frame-owner"),
        team: Name::NONE,
        organisation: Name::of("frame-organisation"),
        agent: Said::Here(Agent::Codex),
        dialect: Said::Here(Dialect::Responses),
        session,
        user,
        asked,
        hold: Pico::new(hold),
        known: Pico::new(known),
    }
}

proptest! {
    #[test]
    fn records_come_back(
        numbers: [u64; 4], tokens: [u64; 10], tools: [u32; 7], class in 0..6_u64, fast: bool, us: bool, cost: u64, small: [u16; 3], latency: u32, first in proptest::option::of(0..u32::MAX),
        end in 0..End::ALL.len(), session in "[ -~]{0,64}", user in "[ -~]{0,64}", asked in "[ -~]{0,128}",
    ) {
        let sets = Sets::default();
        let intent = an_intent(numbers, &session, &user, &asked);
        let mut out = Vec::new();
        super::intent(&mut out, &sets, &intent);
        prop_assert_eq!(decode(body(&out)), Some(Frame::Intent(read_again(intent, &sets))));

        let [status, attempts, flags] = small;
        let class = class | u64::from(fast) << 8 | u64::from(us) << 9;
        let mut numbers = tokens.into_iter().chain(tools.map(u64::from)).chain([class]);
        let counts = [0; KINDS].map(|_: u64| numbers.next().unwrap());
        prop_assert_eq!(super::counts(&usage(&counts)), counts);
        let record = Final {
            intent, provider: Name::of("frame-provider"), credential: Name::NONE, prices: Name::of("frame-prices"),
            served: &asked, usage: usage(&counts), cost: Pico::new(cost), status, end: End::ALL[end], attempts, latency, first, flags: Flags(flags),
        };
        let local = |name: Name| Local(name.number());
        let read = Final {
            intent: read_again(intent, &sets), provider: local(record.provider), credential: local(record.credential),
            prices: local(record.prices), served: &asked, usage: record.usage, cost: record.cost, status, end: record.end, attempts,
            latency, first, flags: record.flags,
        };
        for (write, want) in [(attempt as fn(&mut Vec<u8>, &Sets, &Final<'_>), Frame::Attempt(read)), (finish, Frame::Final(read))] {
            let mut out = Vec::new();
            write(&mut out, &sets, &record);
            prop_assert_eq!(decode(body(&out)), Some(want));
        }
    }

    #[test]
    fn any_bytes_are_a_frame_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = decode(&bytes);
        for kind in 1..=7 {
            let mut framed = vec![kind];
            framed.extend_from_slice(&bytes);
            let _ = decode(&framed);
        }
    }

    #[test]
    fn texts_are_cut_between_characters(text in "\\PC{0,200}") {
        let intent = an_intent([1; 4], &text, &text, &text);
        let mut out = Vec::new();
        super::intent(&mut out, &Sets::default(), &intent);
        prop_assert!(out.len() < LONGEST);
        let Some(Frame::Intent(read)) = decode(body(&out)) else { panic!("no intent") };
        prop_assert!(text.starts_with(read.session) && text.starts_with(read.user) && text.starts_with(read.asked));
        prop_assert!(read.session.len() > SHORT - 4 || read.session == text);
        prop_assert!(read.asked.len() > MODEL - 4 || read.asked == text);
    }
}

#[test]
fn names_progress_and_void_come_back() {
    let name = Name::of("frame-a-name");
    let mut out = Vec::new();
    super::name(&mut out, name, "frame-a-name");
    assert_eq!(decode(body(&out)), Some(Frame::Name(Local(name.number()), "frame-a-name")));
    out.clear();
    let stand = Progress { cost: Pico::new(7), input: 8, output: u64::MAX };
    progress(&mut out, 9, &stand);
    assert_eq!(decode(body(&out)), Some(Frame::Progress(9, stand)));
    out.clear();
    void(&mut out, 9);
    assert_eq!(decode(body(&out)), Some(Frame::Void(9)));
    assert_eq!(decode(&[77, 1, 2]), Some(Frame::Unknown(77)));
    assert_eq!(decode(&[]), None);
}

#[test]
fn a_reader_takes_what_it_knows_and_leaves_the_rest() {
    let intent = an_intent([1, 2, 3, 4], "s", "u", "m");
    let mut out = Vec::new();
    super::intent(&mut out, &Sets::default(), &intent);
    let mut longer = body(&out).to_vec();
    longer.extend_from_slice(b"of a later version");
    assert_eq!(decode(&longer), decode(body(&out)));
}
