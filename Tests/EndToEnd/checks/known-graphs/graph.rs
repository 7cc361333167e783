// See known-graphs.py.
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::sync::{Barrier, Mutex};

#[allow(dead_code)]
struct Event {
    id: u64,
    body: [u8; 120],
}

struct Lost {
    next: *mut Lost,
    _body: [u8; 80],
}

const USERS: usize = 5000;
const EACH: usize = 40;
const THREADS: usize = 4;
const OWN: usize = 3000;
const LOST: usize = 700;
const CYCLES: usize = 60;
const STRAY: usize = 100;

static EVENT_CACHE: Mutex<Option<HashMap<String, Vec<Box<Event>>>>> = Mutex::new(None);
static SOME_BLOCKS: Mutex<Vec<usize>> = Mutex::new(Vec::new());
thread_local! { static RECENT: RefCell<Vec<Box<Event>>> = const { RefCell::new(Vec::new()) }; }

extern "C" {
    fn malloc_usable_size(block: *const u8) -> usize;
}

fn event(id: usize) -> Box<Event> {
    Box::new(Event { id: id as u64, body: [7; 120] })
}

fn usable<T>(block: *const T) -> usize {
    unsafe { malloc_usable_size(block as *const u8) }
}

/// Fills the map, and tells how many bytes its entries take; its table comes on top.
fn fill() -> usize {
    let mut guard = EVENT_CACHE.lock().unwrap();
    let cache = guard.get_or_insert_with(HashMap::new);
    for user in 0..USERS {
        let events: &mut Vec<Box<Event>> = cache.entry(format!("user {user}")).or_default();
        for i in 0..EACH {
            events.push(event(i));
        }
        if user % 50 == 0 {
            SOME_BLOCKS.lock().unwrap().push(&*events[0] as *const Event as usize);
        }
    }
    cache
        .iter()
        .map(|(user, events)| {
            usable(user.as_ptr()) + usable(events.as_ptr()) + events.iter().map(|event| usable(&**event)).sum::<usize>()
        })
        .sum()
}

#[inline(never)]
fn lose() {
    for _ in 0..LOST {
        std::mem::forget(std::hint::black_box(Box::new([1u8; 200])));
    }
    for _ in 0..CYCLES {
        let ring: Vec<*mut Lost> =
            (0..3).map(|_| Box::into_raw(Box::new(Lost { next: std::ptr::null_mut(), _body: [0; 80] }))).collect();
        for i in 0..3 {
            let node = ring[i];
            unsafe { (*node).next = ring[(i + 1) % 3] };
            std::hint::black_box(node);
        }
    }
}

#[inline(never)]
fn wipe() {
    let mut room = [0u8; 1 << 15];
    std::hint::black_box(&mut room);
}

fn work(barrier: &Barrier) {
    let blocks = SOME_BLOCKS.lock().unwrap().clone();
    let mut words = [0usize; STRAY];
    for i in 0..STRAY {
        words[i] = blocks[i % blocks.len()];
    }
    std::hint::black_box(&mut words);
    RECENT.with(|recent| (0..OWN).for_each(|i| recent.borrow_mut().push(event(i))));
    barrier.wait();
    loop {
        std::thread::park();
        std::hint::black_box(&mut words);
    }
}

fn main() {
    let loses = std::env::args().count() < 2;
    let bytes = fill();
    if loses {
        lose();
    }
    wipe();
    let barrier: &'static Barrier = Box::leak(Box::new(Barrier::new(THREADS + 1)));
    for _ in 0..THREADS {
        std::thread::spawn(move || work(barrier));
    }
    barrier.wait();
    // 8 buckets for 7 entries, of a name and a vector, a byte for each of them, and 16 more.
    let buckets = (USERS * 8 / 7).next_power_of_two();
    let table = buckets * (24 + 24 + 1) + 16;
    let (lost, cycles) = if loses { (LOST, 3 * CYCLES) } else { (0, 0) };
    println!(
        "{{\"holder\": \"EVENT_CACHE\", \"container\": \"HashMap or HashSet\", \"count\": {USERS}, \"bytes\": {}, \
         \"own\": \"RECENT\", \"owners\": {THREADS}, \"ownBlocks\": {}, \"lost\": {lost}, \"inCycles\": {cycles}}}",
        bytes + table,
        OWN + 1
    );
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read(&mut [0u8]);
}
