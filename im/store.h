// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "im/message.h"
#include "net/error.h"

namespace hawser::im {

// Something that is not kept: typing and presence, from one replica to the others. `text` is JSON.
struct Signal {
    std::string kind;
    std::string text;
};

// History and fan-out of the chat, for one replica or many. What it promises:
//  - append() answers only after the message is durable, and gives every (room, from, id) one seq, once and
//  for ever;
//  - seq counts up from 1 in each room without holes, over all replicas;
//  - Events::messages gives every stored message, in the order of its room, on every replica.
// append(), read() and send_signal() may be called from any thread and return at once. Every callback is
// handed to the `post` that the store was made with, which runs them one after the other on one thread.
class Store {
  public:
    using Post = std::function<void(std::function<void()>)>;
    template <class T>
    using Answer = std::function<void(net::Result<T>)>;

    struct Events {
        // The history as it is now; comes before the first ready(true), and again when it became another one.
        std::function<void(std::string epoch, std::vector<RoomInfo> rooms)> history;
        std::function<void(std::vector<Message>)> messages;
        std::function<void(Signal)> signal;  // of another replica
        std::function<void(bool)> ready;     // whether append() has a chance now
    };

    virtual ~Store() = default;

    virtual void start(Events events) = 0;

    // Errors: busy (too much waits already), or not stored within the store's patience. After an error the
    // message may be stored all the same: the client sends it again with the same id.
    virtual void append(Draft draft, Answer<Appended> answer) = 0;
    virtual void read(HistoryQuery query, Answer<HistoryPage> answer) = 0;

    // Tells the other replicas; may be lost.
    virtual void send_signal(Signal signal) = 0;

    // One secret for all replicas: `candidate` unless there is one already. Blocks; call it before start().
    virtual net::Result<std::string> shared_secret(const std::string& candidate) = 0;

    // To be called about once a second: a store that could not write tries whether it can again.
    virtual void tick() = 0;

    // Finishes what was appended, answers everything, joins its threads. Blocks.
    virtual void stop() = 0;
};

}  // namespace hawser::im
