/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* L4 services: the first packet to a frontend picks an endpoint and makes both flows of a tunnel without deltas. */
#ifndef HAWSER_SPLICE_SERVICE_H
#define HAWSER_SPLICE_SERVICE_H

#include "icmp.h"

enum { port_tries = 32, usual_ports = 16 };

/* ---- the hashes of balance/hash.h, bit for bit: a client has the same endpoint on every node and in user space ---- */

static __always_inline u64 avalanche(u64 x) {
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9ULL;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebULL;
    return x ^ x >> 31;
}

static __always_inline u64 mix(u64 a, u64 b) { return avalanche(a * 0x9e3779b97f4a7c15ULL + avalanche(b)); }

static __always_inline u64 stable_hash(const struct address* a, u64 seed) {
    u64 hash = mix(seed, sizeof *a);
    hash = mix(hash, (u64)a->word[1] << 32 | a->word[0]);
    return mix(hash, (u64)a->word[3] << 32 | a->word[2]);
}

static const u64 maglev_client_seed = 0x6861777365720003, source_seed = 0x6861777365720005,
                 destination_seed = 0x6861777365720006;

/* ---- the choice of an endpoint ---- */

/* The best of one chunk of endpoints: a score of 53 bits, and its place in the chunk. Places behind the last endpoint
 * have rank 0 and score 0. */
CHECKED_ONCE u64 highest_of_chunk(u64 group, u32 generation, u32 chunk, u64 key) {
    const struct part_key part = {group, generation, chunk};
    const struct hashes* h = bpf_map_lookup_elem(&hash_parts, &part);
    if (!h) return 0;
    u64 best = 0;
    for (u32 i = 0; i < hashes_per_chunk; ++i) {
        const u64 rank = h->value[i];
        const u64 score = rank ? ((mix(key, rank) >> 12) + 1) << 5 | i : 0;
        if (score > best) best = score;
    }
    return best;
}

/* The endpoint of a group that `key` likes best: rendezvous hashing. */
CHECKED_ONCE u32 highest(u64 group, u32 generation, u32 total, u64 key) {
    u32 best = no_endpoint;
    u64 best_score = 0;
    for (u32 chunk = 0; chunk < hash_chunks; ++chunk) {
        if (chunk * hashes_per_chunk >= total) break;
        const u64 found = highest_of_chunk(group, generation, chunk, key);
        if (found >> 5 > best_score) {
            best = chunk * hashes_per_chunk + (found & 31);
            best_score = found >> 5;
        }
    }
    return best;
}

CHECKED_ONCE u64 load_of(u64 endpoint) {
    if (endpoint == 0) return 0xffffffff;
    const u64* load = bpf_map_lookup_elem(&loads, &endpoint);
    /* A process that corrects a count may meet one that goes down. */
    return !load || *load >> 63 ? 0 : *load & 0x7fffffff;
}

/* The least loaded of one chunk: its load and, below, how far behind `first` it stands. */
CHECKED_ONCE u64 least_of_chunk(struct part_key* part, u32 first, u32 total) {
    u64 best = ~(u64)0;
    if (!part || total == 0) return best;
    const struct hashes* h = bpf_map_lookup_elem(&hash_parts, part);
    if (!h) return best;
    for (u32 i = 0; i < hashes_per_chunk; ++i) {
        const u32 index = part->index * hashes_per_chunk + i;
        const u64 score = load_of(h->value[i]) << 32 | (index + total - first) % total;
        if (score < best) best = score;
    }
    return best;
}

/* The endpoint with the fewest tunnels; among equals the next one after `turn`. Of a large group 256 endpoints are
 * looked at, others each time. */
CHECKED_ONCE u32 least_connected(u64 group, u32 generation, u32 total, u64 turn) {
    u64 best = ~(u64)0;
    if (total == 0 || total > hashes_per_chunk * hash_chunks) return no_endpoint;
    struct part_key part = {.group = group, .generation = generation};
    const u32 chunks = (total + hashes_per_chunk - 1) / hashes_per_chunk;
    const u32 first = turn % total;
    for (u32 n = 0; n < 8; ++n) {
        if (n >= chunks) break;
        part.index = (first / hashes_per_chunk + n) % chunks;
        const u64 found = least_of_chunk(&part, first, total);
        if (found < best) best = found;
    }
    return best >> 32 == 0xffffffff ? no_endpoint : ((u32)best + first) % total;
}

struct choice {
    u64 group_id;
    const struct group* group;
    const struct frontend* frontend;
};

static __always_inline u32 from_table(const struct choice* c, u64 place) {
    if (c->group->table_size == 0) return no_endpoint;
    const u32 entry = place % c->group->table_size;
    const struct part_key part = {c->group_id, c->group->generation, entry / entries_per_chunk};
    const struct entries* e = bpf_map_lookup_elem(&entry_parts, &part);
    return e ? e->index[entry % entries_per_chunk] : no_endpoint;
}

static __noinline u32 scheduled(const struct packet* p, const struct choice* c) {
    const struct group* g = c->group;
    if (g->count == 0) return no_endpoint;
    u64 turn = 0, key = 0;
    struct port_counters* counters_of_port = bpf_map_lookup_elem(&port_counters, &c->frontend->port_id);
    if (counters_of_port && (g->scheduler == scheduler_rr || g->scheduler == scheduler_least_connected))
        turn = __sync_fetch_and_add(&counters_of_port->turn, 1);
    switch (g->scheduler) {
        case scheduler_rr:
            return g->table_size ? from_table(c, turn) : turn % g->count;
        case scheduler_least_connected:
            return least_connected(c->group_id, g->generation, g->count, turn);
        case scheduler_source_hash:
            key = stable_hash(&p->key.source, source_seed);
            break;
        case scheduler_destination_hash:
            key = stable_hash(&p->key.destination, destination_seed);
            break;
        case scheduler_maglev:
            return from_table(c, stable_hash(&p->key.source, maglev_client_seed));
        default:
            return g->table_size ? from_table(c, bpf_get_prandom_u32()) : bpf_get_prandom_u32() % g->count;
    }
    return g->table_size ? from_table(c, key) : highest(c->group_id, g->generation, g->count, key);
}

static __noinline const struct endpoint* pick(const struct packet* p, struct choice* c) {
    const struct frontend* f = c->frontend;
    struct part_key part = {.group = c->group_id, .generation = c->group->generation};
    struct affinity_key who = {.port_id = f->port_id, .client = p->key.source};
    struct affinity* kept = 0;
    const u64 now = bpf_ktime_get_ns();
    if (f->affinity_seconds) {
        kept = bpf_map_lookup_elem(&affinities, &who);
        if (kept && now - kept->since < (u64)f->affinity_seconds * 1000000000) {
            struct member_key member = {.group = c->group_id, .endpoint = kept->endpoint};
            const u32* index = bpf_map_lookup_elem(&members, &member);
            if (index) {
                part.index = *index;
                const struct endpoint* e = bpf_map_lookup_elem(&endpoints, &part);
                if (e && e->id == kept->endpoint) {
                    kept->since = now;
                    return e;
                }
            }
        }
    }
    part.index = scheduled(p, c);
    const struct endpoint* e = part.index == no_endpoint ? 0 : bpf_map_lookup_elem(&endpoints, &part);
    if (e && f->affinity_seconds) {
        struct affinity fresh = {.endpoint = e->id, .since = now};
        bpf_map_update_elem(&affinities, &who, &fresh, BPF_ANY);
    }
    return e;
}

/* ---- who is asking ---- */

static __always_inline int is_pod(const struct address* a) {
    struct prefix_key key = {.bits = 128, .address = *a};
    return bpf_map_lookup_elem(&pod_ranges, &key) != 0;
}

static __noinline int may_enter(const struct packet* p, const struct frontend* f) {
    struct source_range_key key = {.bits = 192, .frontend_high = bpf_htonl(f->id >> 32), .frontend_low = bpf_htonl(f->id)};
    key.address = p->key.source;
    return bpf_map_lookup_elem(&source_ranges, &key) != 0;
}

static __noinline const struct frontend* find_frontend(const struct packet* p) {
    struct frontend_key key = {.address = p->key.destination};
    key.port = p->key.destination_port;
    key.protocol = p->key.protocol;
    const struct frontend* f = bpf_map_lookup_elem(&frontends, &key);
    if (f) return f;
    if (!bpf_map_lookup_elem(&node_addresses, &p->key.destination)) return 0;
    if (p->v6)
        key.address.word[0] = key.address.word[1] = key.address.word[2] = key.address.word[3] = 0;
    else
        set_v4(&key.address, 0);
    return bpf_map_lookup_elem(&frontends, &key);
}

/* ---- the flows of a tunnel ---- */

/* Both of them go. */
CHECKED_ONCE int forget(const struct flow_key* key, const struct flow* f) {
    if (!key || !f) return 0;
    struct flow_key answer;
    key_of_answer(f, key->protocol, &answer);
    /* Another tunnel may have that 4-tuple by now. And as soon as `flows` is without it, another core may claim it in
     * `nascent`: that one first. */
    const struct flow* back = find_flow(&answer);
    if (back && back->id == f->id) {
        bpf_map_delete_elem(&nascent, &answer);
        bpf_map_delete_elem(&flows, &answer);
    }
    bpf_map_delete_elem(&nascent, key);
    bpf_map_delete_elem(&flows, key);
    return 0;
}

/* The port of a client for the try `i`. The first ones are always the same for the same port of the client: where an
 * endpoint has its last connection in TIME_WAIT, a SYN is let in at once only if its numbers or its clock go on from there
 * (RFC 6191), and newer kernels give every 4-tuple a clock of its own. */
static __always_inline u32 port_for(u32 wanted, u32 i, u32 low, u32 ports, u32 random) {
    if (i >= usual_ports) return low + (random + i) % ports;
    if (i == 0 && wanted - low < ports) return wanted;
    return low + (wanted + i * 7919) % ports; /* a prime */
}

/* Source ports of a flow towards its endpoint. */
static __always_inline void port_range(const struct flow* there, const struct settings* set, u32* low, u32* ports) {
    const u32 high = there->vip ? set->vip_port_high : set->port_high;
    *low = there->vip ? set->vip_port_low : set->port_low;
    *ports = high - *low + 1;
}

/* Puts both flows into `nascent`, so that no other flow has the answer's 4-tuple. 0, or what to do with the packet. */
CHECKED_ONCE int claim(const struct packet* p, struct flow* there, struct flow* back, int keep_port) {
    if (!p || !there || !back) return -1;
    u32 zero = 0;
    const struct settings* set = bpf_map_lookup_elem(&settings, &zero);
    if (!set) return -1;
    u32 low, ports;
    port_range(there, set, &low, &ports);
    const u32 random = bpf_get_prandom_u32();
    struct flow_key answer;
    for (u32 i = 0; i < port_tries; ++i) {
        if (!(keep_port && i == 0)) {
            if (ports == 0 || ports > 0xffff) return -1;
            const u32 port = port_for(bpf_ntohs(p->key.source_port), i, low, ports, random);
            there->source_port = bpf_htons(port);
        }
        key_of_answer(there, p->key.protocol, &answer);
        const struct flow* other = bpf_map_lookup_elem(&flows, &answer);
        if (other) {
            /* One that has ended waits for stray segments; when ports are scarce they go without. */
            if (i < usual_ports || !(other->flags & flow_closed)) continue;
            forget(&answer, other);
        }
        if (bpf_map_update_elem(&nascent, &answer, back, BPF_NOEXIST)) {
            /* Left by a handshake that was refused, or by one of the same client that came to nothing? */
            other = bpf_map_lookup_elem(&nascent, &answer);
            if (!other) continue;
            const int same_client = same_address(&other->destination, &p->key.source) &&
                                    other->destination_port == p->key.source_port &&
                                    same_address(&other->source, &p->key.destination) &&
                                    other->source_port == p->key.destination_port;
            if (!same_client && !(other->flags & flow_closed)) continue;
            if (bpf_map_update_elem(&nascent, &answer, back, BPF_ANY)) continue;
        }
        if (bpf_map_update_elem(&nascent, &p->key, there, BPF_ANY) == 0) return 0;
        bpf_map_delete_elem(&nascent, &answer);
        return -1;
    }
    return -1;
}

static __always_inline u64 new_id(void) {
    u32 zero = 0;
    u64* next = bpf_map_lookup_elem(&next_id, &zero);
    if (!next) return 0;
    ++*next;
    return (u64)1 << 52 | (u64)bpf_get_smp_processor_id() << 40 | *next;
}

static __always_inline void start_flow(struct flow* f, const struct frontend* front, u64 id, u32 flags, u64 now) {
    f->state = state_spliced;
    f->window_scale = 14;
    f->flags = flow_l4 | flags;
    f->id = id;
    f->last_seen = f->last_data = now;
    f->idle_seconds = front->idle_seconds;
}

/* A tunnel to a VIP that this node has: its endpoint talks to the VIP too, so that another node can carry it on. */
static __always_inline void leave_from_vip(const struct packet* p, struct scratch* s, u64 now) {
    const u32* place = bpf_map_lookup_elem(&places, &p->key.destination);
    if (!place) return;
    const struct vip* v = bpf_map_lookup_elem(&vips, place);
    if (!v || !is_here(v, now)) return;
    s->there.source = p->key.destination;
    s->there.vip = s->back.vip = *place;
    s->there.term = s->back.term = v->term;
}

/* 0: packet `p` now has flows. Otherwise what becomes of it. */
static __noinline int open_tunnel(struct __sk_buff* skb, struct packet* p, const struct frontend* front,
                                  const struct endpoint* e, int from_pod) {
    struct scratch* s = scratch();
    if (!s) return DROP;
    const u64 now = bpf_ktime_get_ns();
    const u64 id = new_id();
    __builtin_memset(&s->there, 0, sizeof s->there);
    __builtin_memset(&s->back, 0, sizeof s->back);
    start_flow(&s->there, front, id, flow_from_client | (front->affinity_seconds ? flow_affine : 0), now);
    start_flow(&s->back, front, id, 0, now);
    if (p->key.protocol == IPPROTO_UDP) s->there.idle_seconds = s->back.idle_seconds = front->udp_idle_seconds;
    s->there.source = p->key.source;
    s->there.source_port = p->key.source_port;
    s->there.destination = e->address;
    s->there.destination_port = e->port;
    s->back.source = p->key.destination;
    s->back.source_port = p->key.destination_port;
    s->back.destination = p->key.source;
    s->back.destination_port = p->key.source_port;

    const int hairpin = same_address(&p->key.source, &e->address);
    const int kept = front->flags & frontend_cluster_ip ? from_pod : front->flags & frontend_local;
    /* An endpoint of this very node answers by the egress program; its own address must not come in from outside. */
    const int endpoint_is_node = bpf_map_lookup_elem(&node_addresses, &e->address) != 0;
    const int both_are_node = p->from_node && endpoint_is_node;
    struct address own = {};
    const int keep = (kept && !p->from_node && !hairpin) || (endpoint_is_node && !both_are_node);
    if (both_are_node) {
        /* A source that is the node's own would not be let in: it comes as the address that was asked for, which is
         * not on this node, and the answer to which leaves by the interface where the program sees it. */
        s->there.source = p->key.destination;
        s->there.flags |= flow_to_local;
        s->there.local_interface = skb->ifindex;
    } else if (!keep) {
        struct bpf_fib_lookup fib = {};
        ask_for_route(&fib, skb, p, &p->key.source, &e->address);
        const long found = bpf_fib_lookup(skb, &fib, sizeof fib, 0);
        if (found != BPF_FIB_LKUP_RET_SUCCESS && found != BPF_FIB_LKUP_RET_NO_NEIGH) {
            count(counter_dropped_route);
            return DROP;
        }
        u32 index = fib.ifindex;
        const struct interface* out = bpf_map_lookup_elem(&interfaces, &index);
        const struct address* ours = out ? (p->v6 ? &out->v6 : &out->v4) : 0;
        if (!ours || (ours->word[3] == 0 && ours->word[0] == 0)) {
            count(counter_dropped_route);
            return DROP;
        }
        s->there.source = *ours;
        own = *ours;
        if (!p->from_node && !from_pod) leave_from_vip(p, s, now);
    }
    if (p->from_node) {
        s->back.flags |= flow_to_local;
        s->back.local_interface = skb->ifindex;
    }
    int refused = claim(p, &s->there, &s->back, keep);
    if (refused && s->there.vip) {
        /* This node's part of the ports is all taken: by its own address, and no other node carries it on. */
        s->there.source = own;
        s->there.vip = s->back.vip = 0;
        refused = claim(p, &s->there, &s->back, 0);
    }
    if (refused) {
        count(counter_dropped_no_port);
        return DROP;
    }
    __builtin_memset(&s->record, 0, sizeof s->record);
    s->record.state = state_spliced;
    s->record.flags = record_l4;
    s->record.route = front->route;
    s->record.service = front->service;
    s->record.endpoint = e->id;
    s->record.client = p->key.source;
    s->record.client_port = bpf_ntohs(p->key.source_port);
    s->record.idle_seconds = s->there.idle_seconds;
    bpf_map_update_elem(&nascent_records, &id, &s->record, BPF_ANY);
    struct port_counters* of_port = bpf_map_lookup_elem(&port_counters, &front->port_id);
    if (of_port) __sync_fetch_and_add(&of_port->opened, 1);
    return 0;
}

static __always_inline void count_at_port(const struct frontend* f, int rejected) {
    struct port_counters* of_port = bpf_map_lookup_elem(&port_counters, &f->port_id);
    if (!of_port) return;
    if (rejected)
        __sync_fetch_and_add(&of_port->rejected, 1);
    else
        __sync_fetch_and_add(&of_port->dropped, 1);
}

/* S-23: an address that is a Service's, with a port that is not; or nobody's in the range of Services. */
static __always_inline int without_frontend(struct __sk_buff* skb, struct packet* p) {
    if (bpf_map_lookup_elem(&cluster_addresses, &p->key.destination)) return refuse(skb, p);
    struct prefix_key key = {.bits = 128, .address = p->key.destination};
    if (!bpf_map_lookup_elem(&service_ranges, &key)) return PASS;
    count(counter_dropped_policy);
    return DROP;
}

/* A packet without a flow. opened_tunnel: it has one now. */
enum { opened_tunnel = 1000 };
CHECKED_ONCE int serve(struct __sk_buff* skb, struct packet* p) {
    if (!p) return DROP;
    const struct frontend* f = find_frontend(p);
    if (!f) return without_frontend(skb, p);
    if (f->flags & frontend_has_ranges && !may_enter(p, f)) {
        count(counter_dropped_policy);
        count_at_port(f, 0);
        return DROP;
    }
    const int from_pod = !p->from_node && is_pod(&p->key.source);
    const int inside = p->from_node || from_pod;
    struct choice c = {.frontend = f, .group_id = inside ? f->cluster_group : f->group};
    c.group = bpf_map_lookup_elem(&groups, &c.group_id);
    if (!c.group || c.group->count == 0) {
        /* P-03, P-01: endpoints elsewhere but none here; P-06: none anywhere. */
        const int silent = f->flags & frontend_drop_when_empty && (!inside || f->flags & frontend_cluster_ip);
        count_at_port(f, !silent);
        if (!silent) return refuse(skb, p);
        count(counter_dropped_policy);
        return DROP;
    }
    if (p->key.protocol == IPPROTO_TCP && (p->tcp_flags & (tcp_syn | tcp_ack | tcp_rst | tcp_fin)) != tcp_syn) {
        /* In the middle of something that is not ours: the stack's, or gone. */
        if (bpf_map_lookup_elem(&node_addresses, &p->key.destination)) return PASS;
        return refuse_segment(skb, p);
    }
    const struct endpoint* e = pick(p, &c);
    if (!e) {
        /* The group has turned over to its next generation just now. */
        c.group = bpf_map_lookup_elem(&groups, &c.group_id);
        e = c.group ? pick(p, &c) : 0;
    }
    if (!e) return DROP;
    /* P-04: pods come with their own address where a Local policy keeps the others'. */
    const int verdict = open_tunnel(skb, p, f, e, from_pod);
    return verdict ? verdict : opened_tunnel;
}

#endif
