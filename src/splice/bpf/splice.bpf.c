/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* The splice: two TCP connections joined packet by packet, and L4 services as splices without deltas. docs/splice.md
 * tells what a packet meets here, and which invariants hold. */
#include <linux/errno.h>

#include "fragment.h"
#include "service.h"

/* On a packet that the program hands to the local stack by way of the interface it came in by. */
enum { mark_of_clone = 0x48775357 };

/* ---- what a segment tells ---- */

static __always_inline struct flow* other_flow(const struct flow* f, u8 protocol) {
    struct flow_key key;
    key_of_answer(f, protocol, &key);
    return find_flow(&key);
}

/* What the other end has acknowledged and how much further it lets this side go, in this side's numbers. */
static __always_inline u32 acknowledged_of(const struct flow* back) {
    return back->acknowledged + back->acknowledgment_delta;
}

/* Whether a sequence number can be of this connection: a blind attacker's is not (RFC 5961). */
CHECKED_ONCE int is_plausible(const struct flow* f, u8 protocol, u32 end) {
    if (!f) return 0;
    const struct flow* back = other_flow(f, protocol);
    if (!back) return 0;
    const u32 first = acknowledged_of(back);
    return !after(first, end) && end - first <= back->window + 65536;
}

/* Whether an acknowledgement can be of this connection: of something that the other end has sent. */
CHECKED_ONCE int is_acknowledgeable(const struct flow* f, u8 protocol, u32 number) {
    if (!f) return 0;
    const struct flow* back = other_flow(f, protocol);
    return back && !after(number, (u32)back->sequence_end + back->sequence_delta);
}

/* How far behind a number may be that tells anything: a blind attacker seldom guesses one of two such numbers. */
enum { near = 1 << 20 };
/* How much may be on its way between two segments, one of each side, from which a tunnel is learned. */
enum { under_way = 1 << 24 };

/* Whether a segment's acknowledgement and window are to be believed; `step`: how far it goes beyond the highest. */
static __always_inline int believes_acknowledgment(const struct packet* p, const struct flow* f, u32 step) {
    if (!(p->tcp_flags & tcp_ack)) return 0;
    if (f->acknowledged == 0) return 1;
    if ((__s32)step <= 0) return -step <= near;
    /* A step that is not small may be a blind attacker's; in transit, where one ends a wait, every step. */
    return (step < 1 << 17 && f->state == state_spliced) || is_acknowledgeable(f, p->key.protocol, p->acknowledgment);
}

static __always_inline struct event* new_event(u64 id, u8 kind) {
    struct event* e = bpf_ringbuf_reserve(&events, sizeof *e, 0);
    if (!e) {
        count(counter_event_lost);
        return 0;
    }
    __builtin_memset(e, 0, sizeof *e);
    e->id = id;
    e->kind = kind;
    return e;
}

/* The tunnel is over. The record has what its log line needs, whatever becomes of the flows. */
CHECKED_ONCE int close_tunnel(const struct flow_key* key, struct flow* f, struct flow* back, u32 how) {
    if (!key || !f || !back) return 0;
    __sync_fetch_and_or(&f->flags, flow_closed);
    __sync_fetch_and_or(&back->flags, flow_closed);
    struct record* r = bpf_map_lookup_elem(&records, &f->id);
    if (!r || __sync_fetch_and_or(&r->flags, record_closing) & record_closing) return 0;
    const int from_client = f->flags & flow_from_client;
    const struct flow* in = from_client ? f : back;
    const struct flow* out = from_client ? back : f;
    r->bytes_in += in->sequence_end - in->sequence_base - (in->flags & flow_fin ? 1 : 0);
    r->bytes_out += out->sequence_end - out->sequence_base - (out->flags & flow_fin ? 1 : 0);
    if (how & record_reset) r->flags |= from_client ? record_by_client : record_by_endpoint;
    __sync_fetch_and_or(&r->flags, how | record_closed);
    if (in->flags & flow_counted) {
        u64* load = bpf_map_lookup_elem(&loads, &r->endpoint);
        if (load) __sync_fetch_and_add(load, -1);
    }
    struct event* e = new_event(f->id, event_closed);
    if (!e) return 0;
    if (from_client)
        e->key = *key;
    else
        key_of_answer(f, key->protocol, &e->key);
    bpf_ringbuf_submit(e, 0);
    return 0;
}

CHECKED_ONCE int saw_fin(struct flow* f, u32 end) {
    if (!f) return 0;
    struct flow* back = other_flow(f, IPPROTO_TCP);
    if (!back) return 0;
    if (!(f->flags & flow_peer_fin)) {
        struct record* r = bpf_map_lookup_elem(&records, &f->id);
        if (r && !(r->flags & (record_by_client | record_by_endpoint)))
            r->flags |= f->flags & flow_from_client ? record_by_client : record_by_endpoint;
    }
    back->peer_fin_end = end + f->sequence_delta;
    __sync_fetch_and_or(&back->flags, flow_peer_fin);
    __sync_fetch_and_or(&f->flags, flow_fin);
    return 0;
}

CHECKED_ONCE int saw_reset(const struct packet* p, struct flow* f) {
    if (!p || !f) return 0;
    if (f->flags & flow_closed) return 0;
    struct flow* back = other_flow(f, p->key.protocol);
    if (!back) return 0;
    if (p->sequence != (u32)f->sequence_end && p->sequence != acknowledged_of(back)) return 0;
    /* Behind both FINs it only says that its sender has forgotten the connection: everything was said. */
    const u32 both = flow_fin | flow_peer_fin;
    const int finished = (f->flags & both) == both;
    if (!finished) __sync_fetch_and_or(&f->flags, flow_reset);
    close_tunnel(&p->key, f, back, finished ? 0 : record_reset);
    return 0;
}

CHECKED_ONCE int saw_fin_acknowledged(const struct flow_key* key, struct flow* f) {
    if (!key || !f) return 0;
    __sync_fetch_and_or(&f->flags, flow_peer_fin_acked);
    struct flow* back = other_flow(f, key->protocol);
    if (back && back->flags & flow_peer_fin_acked && !(f->flags & flow_closed)) close_tunnel(key, f, back, 0);
    return 0;
}

static __always_inline void see_acknowledged(const struct flow_key* key, struct flow* f, u32 number) {
    if (f->flags & flow_peer_fin && !(f->flags & flow_peer_fin_acked) && !after(f->peer_fin_end, number))
        saw_fin_acknowledged(key, f);
}

/* Everything up to `end` has come. */
static __always_inline void see_end(struct flow* f, u32 end) {
    for (int tries = 0; tries < 2; ++tries) {
        const u64 before = f->sequence_end;
        const u32 rest = end - (u32)before;
        if ((__s32)rest <= 0 || __sync_val_compare_and_swap(&f->sequence_end, before, before + rest) == before) return;
    }
}

/* An endpoint that answers a SYN begins anew, whatever the flows knew. */
CHECKED_ONCE int saw_syn(const struct packet* p, struct flow* f) {
    if (!p || !f) return 0;
    const u64 counted = f->sequence_end - f->sequence_base;
    const u32 end = p->sequence + 1;
    f->sequence_end = (f->sequence_end & 0xffffffff00000000ULL) + ((u64)1 << 32) + end;
    f->sequence_base = f->sequence_end - counted;
    if (!(p->tcp_flags & tcp_ack)) return 0;
    f->acknowledged = p->acknowledgment;
    struct flow* back = other_flow(f, p->key.protocol);
    if (!back || (u32)back->sequence_end == p->acknowledgment) return 0;
    const u64 counted_back = back->sequence_end - back->sequence_base;
    back->sequence_end = (back->sequence_end & 0xffffffff00000000ULL) + ((u64)1 << 32) + p->acknowledgment;
    back->sequence_base = back->sequence_end - counted_back;
    back->acknowledged = end;
    return 0;
}

static __always_inline void remember_tsval(const struct packet* p, struct flow* f) {
    if (p->has_tsval && (f->tsval == 0 || after(p->tsval, f->tsval))) f->tsval = p->tsval;
}

/* Up to `end` has come, as was learned. What was said elsewhere may be more than half of the numbers; what is only a
 * little behind was repeated. */
static __always_inline void learn_end(struct flow* f, u32 end) {
    for (int tries = 0; tries < 2; ++tries) {
        const u64 before = f->sequence_end;
        const u32 rest = end - (u32)before;
        if (-rest <= under_way) return;
        if (__sync_val_compare_and_swap(&f->sequence_end, before, before + rest) == before) return;
    }
}

/* The first segments that are seen of a tunnel which another node has carried until now. What that node had seen is not
 * known here, so that two of them, one of each side, have to fit together: either acknowledges what the other says. */
CHECKED_ONCE int learn(const struct packet* p, struct flow* f, u32 term) {
    if (!p || !f || !(p->tcp_flags & tcp_ack)) return 0;
    struct flow* back = other_flow(f, IPPROTO_TCP);
    if (!back) return 0;
    f->heard_end = p->sequence + sequence_length(p);
    f->acknowledged = p->acknowledgment;
    f->window = (u32)p->window << (f->window_scale & 15);
    f->heard_in = term;
    if (back->heard_in != term) return 0;
    if (back->heard_end - acknowledged_of(f) > under_way || f->heard_end - acknowledged_of(back) > under_way) return 0;
    learn_end(f, f->heard_end);
    learn_end(back, back->heard_end);
    f->term = back->term = term;
    return 0;
}

static __always_inline void account(struct __sk_buff* skb, const struct packet* p, struct flow* f, u64 now) {
    f->last_seen = now;
    __sync_fetch_and_add(&f->packets, 1);
    if (p->key.protocol == IPPROTO_UDP) {
        f->last_data = now;
        const struct vip* v = f->vip ? vip_of(f) : 0;
        if (v) f->heard_in = v->term;
        __sync_fetch_and_add(&f->bytes, p->payload);
        __sync_fetch_and_add(&f->sequence_end, p->payload);
        return;
    }
    __sync_fetch_and_add(&f->bytes, skb->len - ETH_HLEN);
    if (p->tcp_flags & tcp_syn) {
        if (p->tcp_flags & tcp_ack || f->sequence_end == 0) saw_syn(p, f);
        return;
    }
    remember_tsval(p, f);
    const u32 length = sequence_length(p);
    if (f->vip) {
        const struct vip* v = vip_of(f);
        if (v && v->term != f->term) {
            if (length) f->last_data = now;
            learn(p, f, v->term);
            return;
        }
    }
    const u32 end = p->sequence + length;
    const u32 advance = end - (u32)f->sequence_end;
    const u32 step = p->acknowledgment - f->acknowledged;
    const int acknowledges = believes_acknowledgment(p, f, step);
    /* What leaves a gap was overtaken, or is a blind attacker's; what lies far behind is repeated, or is. */
    const int believed = (__s32)advance <= 0 ? -advance <= near
                         : advance <= length ? 1
                                             : acknowledges && is_plausible(f, p->key.protocol, end);
    if (length && (__s32)advance > 0 && believed) {
        f->last_data = now;
        see_end(f, end);
    }
    if (acknowledges && believed) {
        if (f->acknowledged == 0 || (__s32)step > 0) f->acknowledged = p->acknowledgment;
        f->window = (u32)p->window << (f->window_scale & 15);
        see_acknowledged(&p->key, f, p->acknowledgment);
    }
    if (p->tcp_flags & tcp_fin && believed && (__s32)advance >= 0 && !(f->flags & flow_fin)) saw_fin(f, end);
}

/* ---- spliced L7 tunnels ---- */

/* A SYN on a 4-tuple that has a living tunnel: the answer of RFC 5961 section 4. A client that has forgotten the old
 * connection resets it, and its next SYN begins a new one; any other ignores this. */
CHECKED_ONCE int challenge(struct __sk_buff* skb, const struct packet* p, const struct flow* f) {
    if (!p || !f) return DROP;
    count(counter_challenged);
    struct segment reply = {.sequence = f->acknowledged, .acknowledgment = f->sequence_end, .flags = tcp_ack};
    /* As the other end last said it: a window of 0 would let a blind attacker's SYN stop the client. */
    const struct flow* back = other_flow(f, p->key.protocol);
    if (back) reply.window = shifted_window(back->window >> (back->window_scale & 15), back->window_shift);
    return turn_round(skb, p, &reply) ? DROP : send_by_route(skb, p);
}

/* Between relay and splice both carry the tunnel, and give every byte the same sequence number: what arrives twice
 * does no harm, and nothing is missed. goes_on: to the other end; not sent there from here, since all frames of a chain
 * of calls share 512 bytes. */
enum { goes_on = 1001 };
CHECKED_ONCE int in_transit(struct __sk_buff* skb, struct packet* p, struct flow* f, const struct record* r) {
    if (!p || !f || !r) return DROP;
    const int from_client = f->flags & flow_from_client;
    const u32 cut = from_client ? r->cut_client : r->cut_endpoint;
    const u32 held = from_client ? r->sent_client : r->sent_endpoint;
    const u32 length = sequence_length(p);
    count(counter_transit);
    if (length && !after(p->sequence + length, cut)) {
        /* The relay has it already, and its socket must say so. */
        return hold_acknowledgment(skb, p, held) ? DROP : PASS;
    }
    if (length == 0) {
        /* For both: our socket may wait for it, and so may the other end. One whose numbers may be a blind attacker's
         * stays as unacceptable to the socket as it came. */
        const int believed = !(p->tcp_flags & tcp_rst) && (u32)f->sequence_end - p->sequence <= near &&
                             !after(p->acknowledgment, f->acknowledged);
        if (hold_acknowledgment(skb, p, held) || (believed && hold_sequence(skb, p, cut))) return DROP;
        const u32 mark = skb->mark;
        skb->mark = mark_of_clone;
        bpf_clone_redirect(skb, skb->ifindex, BPF_F_INGRESS);
        skb->mark = mark;
    }
    return goes_on;
}

static __always_inline int known_l7(struct __sk_buff* skb, struct packet* p, struct flow* f) {
    u8 state = f->state;
    const u64 now = bpf_ktime_get_ns();
    if (state == state_relay) {
        const struct record* r = bpf_map_lookup_elem(&records, &f->id);
        if (!r) return PASS;
        state = r->state;
        if (state == state_spliced) f->state = state_spliced;
        if (state == state_relay) {
            /* Once the process has read the numbers, what comes is counted: the record may be flipped before the relay
             * has it. */
            if (f->sequence_end && !(p->tcp_flags & (tcp_syn | tcp_rst)))
                account(skb, p, f, now);
            else
                remember_tsval(p, f);
            f->last_seen = now;
            return PASS;
        }
        if (state == state_transit) {
            if (p->tcp_flags & tcp_syn) return DROP;
            if (p->tcp_flags & tcp_rst)
                saw_reset(p, f);
            else
                account(skb, p, f, now);
            const int verdict = in_transit(skb, p, f, r);
            return verdict == goes_on ? forward(skb, p, f) : verdict;
        }
    }
    if (p->tcp_flags & tcp_syn) {
        if (p->tcp_flags & tcp_ack) return DROP;
        if (f->flags & flow_closed) {
            forget(&p->key, f);
            return PASS;
        }
        return challenge(skb, p, f);
    }
    if (state == state_killed) return refuse_segment(skb, p);
    if (p->tcp_flags & tcp_rst)
        saw_reset(p, f);
    else
        account(skb, p, f, now);
    return forward(skb, p, f);
}

/* ---- L4 tunnels ---- */

/* A handshake is complete, or a UDP client has gone on after an answer: into the table that nothing is evicted from. The
 * client's flow is scratch()->there. */
CHECKED_ONCE int establish(const struct packet* p) {
    struct scratch* s = scratch();
    if (!p || !s) return 0;
    struct flow_key answer;
    key_of_answer(&s->there, p->key.protocol, &answer);
    struct flow* back = bpf_map_lookup_elem(&nascent, &answer);
    if (!back || back->packets == 0) return 0;
    struct record* r = bpf_map_lookup_elem(&nascent_records, &s->there.id);
    if (!r) return 0;
    s->back = *back;
    s->record = *r;
    if (bpf_map_lookup_elem(&nascent, &answer) != back) return 0;
    if (bpf_map_lookup_elem(&nascent_records, &s->there.id) != r) return 0;
    s->record.started = bpf_ktime_get_ns(); /* CLOCK_MONOTONIC; the process turns it into a date */
    u64* load = bpf_map_lookup_elem(&loads, &s->record.endpoint);
    if (load) {
        s->there.flags |= flow_counted;
        s->back.flags |= flow_counted;
    }
    const u64 id = s->there.id;
    /* Two segments of the client may come on two cores at one time: the first one settles it. */
    const long taken = bpf_map_update_elem(&records, &id, &s->record, BPF_NOEXIST);
    if (taken == -EEXIST) return 0;
    if (taken) goto full;
    if (bpf_map_update_elem(&flows, &answer, &s->back, BPF_NOEXIST)) goto full_record;
    if (bpf_map_update_elem(&flows, &p->key, &s->there, BPF_NOEXIST)) goto full_back;
    if (load) __sync_fetch_and_add(load, 1);
    bpf_map_delete_elem(&nascent, &answer);
    bpf_map_delete_elem(&nascent, &p->key);
    bpf_map_delete_elem(&nascent_records, &id);
    struct event* e = new_event(id, event_opened);
    if (!e) return 0;
    e->key = p->key;
    bpf_ringbuf_submit(e, 0);
    return 0;
full_back:
    bpf_map_delete_elem(&flows, &answer);
full_record:
    bpf_map_delete_elem(&records, &id);
full:
    /* It goes on as nascent, and may be evicted. */
    count(counter_table_full);
    return 0;
}

/* 0: it is over, and the packet is nobody's. */
static __always_inline int still_valid(const struct packet* p, const struct flow* f, u64 now) {
    if (p->key.protocol == IPPROTO_UDP) {
        u64 last = f->last_seen;
        const struct vip* v = f->vip ? vip_of(f) : 0;
        if (v && v->since > last) last = v->since;
        return now - last < (u64)f->idle_seconds * 1000000000;
    }
    return !(f->flags & flow_closed && (p->tcp_flags & (tcp_syn | tcp_ack)) == tcp_syn);
}

static __always_inline int known_l4(struct __sk_buff* skb, struct packet* p, struct flow* f, int is_nascent) {
    if (f->state == state_killed && p->key.protocol == IPPROTO_TCP) return refuse_segment(skb, p);
    const u64 now = bpf_ktime_get_ns();
    if (p->key.protocol == IPPROTO_TCP && p->tcp_flags & tcp_rst)
        saw_reset(p, f);
    else
        account(skb, p, f, now);
    if (is_nascent) {
        /* Another core may evict it at any time, and use its place for another flow: a copy is good if the place was
         * this flow's after it. */
        struct scratch* s = scratch();
        if (!s) return DROP;
        s->there = *f;
        if (bpf_map_lookup_elem(&nascent, &p->key) != f) {
            /* Or it has settled it just now. */
            f = bpf_map_lookup_elem(&flows, &p->key);
            return f ? forward(skb, p, f) : DROP;
        }
        f = &s->there;
        if (f->flags & flow_from_client && !(p->tcp_flags & (tcp_syn | tcp_rst))) establish(p);
    }
    return forward(skb, p, f);
}

CHECKED_ONCE int known(struct __sk_buff* skb, struct packet* p, struct flow* f, int is_nascent) {
    if (!p || !f) return DROP;
    return f->flags & flow_l4 ? known_l4(skb, p, f, is_nascent) : known_l7(skb, p, f);
}

static __always_inline int process(struct __sk_buff* skb, int from_node) {
    if (skb->mark == mark_of_clone) {
        skb->mark = 0;
        return PASS;
    }
    u32 zero = 0;
    struct packet* p = bpf_map_lookup_elem(&packets, &zero);
    if (!p) return PASS;
    __builtin_memset(p, 0, sizeof *p);
    p->from_node = from_node;
    const enum parsed what = parse(skb, p);
    if (what == parsed_icmp && !from_node) return icmp(skb, p);
    if (what != parsed_segment || (p->fragment && !knows_ports(p))) return PASS;
    int is_nascent = 0;
    struct flow* f = bpf_map_lookup_elem(&flows, &p->key);
    if (!f) {
        f = bpf_map_lookup_elem(&nascent, &p->key);
        is_nascent = 1;
    }
    if (!f && !(p->tcp_flags & tcp_syn)) {
        /* Another core may have settled it (establish) between the two questions. */
        f = bpf_map_lookup_elem(&flows, &p->key);
        is_nascent = 0;
    }
    /* The node that has the VIP carries it, and the stack sends the packet there. */
    if (f && f->vip && !is_here(vip_of(f), bpf_ktime_get_ns())) return PASS;
    if (f && f->flags & flow_l4 && !still_valid(p, f, bpf_ktime_get_ns())) {
        if (!(f->flags & flow_from_client)) return PASS;
        forget(&p->key, f);
        f = 0;
    }
    if (!f) {
        if (p->fragment == fragment_later) return PASS; /* its first one has opened nothing */
        if (!from_node && is_stray(skb, p)) {
            count(counter_dropped_unknown);
            return DROP;
        }
        const int verdict = serve(skb, p);
        if (verdict != opened_tunnel) return verdict;
        f = bpf_map_lookup_elem(&nascent, &p->key);
        is_nascent = 1;
        if (!f) return DROP;
    }
    return known(skb, p, f, is_nascent);
}

SEC("tc")
int hawser_ingress(struct __sk_buff* skb) { return process(skb, 0); }

/* What sockets of this node send: to services, and from endpoints that are on the node itself. */
SEC("tc")
int hawser_egress(struct __sk_buff* skb) {
    if (skb->ingress_ifindex) return PASS; /* forwarded: it has been through the ingress program */
    return process(skb, 1);
}

/* ---- what the process asks for ---- */

/* What passed the program before the flip, and came to our own socket after it: the flow has not counted that. */
static __always_inline void catch_up(struct flow* f, const struct socket_facts* socket) {
    see_end(f, socket->received);
    if (after(socket->acknowledged, f->acknowledged)) f->acknowledged = socket->acknowledged;
    if (socket->finished && !(f->flags & flow_fin)) saw_fin(f, socket->received);
}

/* Run by the process on a `change` (layout.h). 0, or 1: there is no such tunnel. */
SEC("tc")
int change_tunnel(struct __sk_buff* skb) {
    struct change c;
    if (bpf_skb_load_bytes(skb, ETH_HLEN, &c, sizeof c)) return 1;
    struct record* r = bpf_map_lookup_elem(&records, &c.id);
    struct flow* there = bpf_map_lookup_elem(&flows, &c.client);
    if (!r || !there || there->id != c.id) return 1;
    struct flow_key answer;
    key_of_answer(there, c.client.protocol, &answer);
    struct flow* back = bpf_map_lookup_elem(&flows, &answer);
    if (!back || back->id != c.id) return 1;
    if (c.state == state_killed) {
        there->state = back->state = state_killed;
        return 0;
    }
    r->cut_client = c.of_client.received;
    r->cut_endpoint = c.of_endpoint.received;
    r->sent_client = c.of_client.sent;
    r->sent_endpoint = c.of_endpoint.sent;
    if (r->state == state_relay) {
        r->bytes_in = c.bytes_in;
        r->bytes_out = c.bytes_out;
        r->frames_in = c.frames_in;
        r->frames_out = c.frames_out;
    }
    if (c.state != state_spliced) {
        /* All of that before the state: an exchange is a barrier. */
        if (r->state == state_relay) __sync_lock_test_and_set(&r->state, state_transit);
        return 0;
    }
    catch_up(there, &c.of_client);
    catch_up(back, &c.of_endpoint);
    __sync_lock_test_and_set(&r->state, state_spliced);
    /* FINs that went through the relay may be acknowledged already, and nobody says so again. */
    see_acknowledged(&c.client, there, there->acknowledged);
    see_acknowledged(&answer, back, back->acknowledged);
    return 0;
}

/* Run by the process on a `forgetting` (layout.h): both flows of a tunnel. 0, or 1: the 4-tuple is another's. */
SEC("tc")
int forget_tunnel(struct __sk_buff* skb) {
    struct forgetting c;
    if (bpf_skb_load_bytes(skb, ETH_HLEN, &c, sizeof c)) return 1;
    const struct flow* f = find_flow(&c.key);
    if (!f || f->id != c.id) return 1;
    return forget(&c.key, f);
}

/* Run once by the loader, on an IPv6 packet: 0 if the kernel knows the flag. */
SEC("tc")
int probe_checksum_flag(struct __sk_buff* skb) {
    const u64 ipv6 = 1 << 7; /* BPF_F_IPV6 */
    return bpf_l4_csum_replace(skb, l4_offset_v6 + tcp_check_offset, 0, 0, BPF_F_PSEUDO_HDR | ipv6) ? 1 : 0;
}

char program_license[] SEC("license") = "Dual BSD/GPL";
