// SPDX-License-Identifier: Apache-2.0
#include "im/nats_connection.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <utility>

namespace hawser::im {
namespace {

constexpr std::int64_t wait_ms = 3'000;  // for an answer of the server
constexpr std::size_t most_payload_pending = 65'536;

net::Error failure(std::string_view what, natsStatus status) {
    net::Error error;
    error.message = std::string(what) + ": " + natsStatus_GetText(status);
    return error;
}

template <class T, void (*destroy)(T*)>
struct Destroyer {
    void operator()(T* object) const { destroy(object); }
};
template <class T, void (*destroy)(T*)>
using Owned = std::unique_ptr<T, Destroyer<T, destroy>>;

}  // namespace

net::Result<std::optional<NatsConnection::Delivered>> NatsConnection::Reader::next(std::int64_t timeout_ms) {
    natsMsg* raw = nullptr;
    const auto status = natsSubscription_NextMsg(&raw, subscription_.get(), timeout_ms);
    const Owned<natsMsg, natsMsg_Destroy> message(raw);
    if (status == NATS_TIMEOUT) return std::optional<Delivered>();
    if (status != NATS_OK) return failure("read the stream", status);
    jsMsgMetaData* meta = nullptr;
    if (const auto got = natsMsg_GetMetaData(&meta, raw); got != NATS_OK)
        return failure("read the stream", got);
    Delivered delivered{
        natsMsg_GetSubject(raw),
        std::string(natsMsg_GetData(raw), static_cast<std::size_t>(natsMsg_GetDataLength(raw))),
        meta->Sequence.Stream};
    jsMsgMetaData_Destroy(meta);
    return std::optional(std::move(delivered));
}

net::Result<std::unique_ptr<NatsConnection>> NatsConnection::open(const Options& options) {
    std::unique_ptr<NatsConnection> self(new NatsConnection(options));
    natsOptions* raw = nullptr;
    auto status = natsOptions_Create(&raw);
    const Owned<natsOptions, natsOptions_Destroy> made(raw);
    const auto set = [&](natsStatus result) {
        if (status == NATS_OK) status = result;
    };
    set(natsOptions_SetURL(raw, options.url.c_str()));
    set(natsOptions_SetName(raw, options.name.c_str()));
    set(natsOptions_SetMaxReconnect(raw, -1));
    set(natsOptions_SetReconnectWait(raw, 250));
    set(natsOptions_SetReconnectJitter(raw, 250, 250));
    set(natsOptions_SetTimeout(raw, 2'000));
    set(natsOptions_SetPingInterval(raw, 5'000));
    set(natsOptions_SetMaxPingsOut(raw, 2));
    set(natsOptions_SetMaxPendingMsgs(raw, most_payload_pending));
    set(natsOptions_SetSendAsap(raw, true));
    set(natsOptions_SetDisconnectedCB(raw, on_disconnected, self.get()));
    set(natsOptions_SetReconnectedCB(raw, on_connected, self.get()));
    set(natsOptions_SetClosedCB(raw, on_closed, self.get()));
    set(natsOptions_SetRetryOnFailedConnect(raw, true, on_connected, self.get()));
    if (status != NATS_OK) return failure("NATS options for " + options.url, status);
    status = natsConnection_Connect(&self->connection_, raw);
    if (status == NATS_OK)
        on_connected(nullptr, self.get());
    else if (status != NATS_NOT_YET_CONNECTED)
        return failure("connect to " + options.url, status);
    else
        spdlog::warn("NATS at {} does not answer yet; trying again", options.url);
    jsOptions js;
    jsOptions_Init(&js);
    js.Wait = wait_ms;
    status = natsConnection_JetStream(&self->jetstream_, self->connection_, &js);
    if (status != NATS_OK) return failure("use JetStream", status);
    return self;
}

NatsConnection::~NatsConnection() { close(); }

void NatsConnection::on_disconnected(natsConnection*, void* closure) {
    auto* self = static_cast<NatsConnection*>(closure);
    if (self->connected_.exchange(false)) spdlog::warn("NATS: the connection is lost; trying again");
}

void NatsConnection::on_connected(natsConnection*, void* closure) {
    auto* self = static_cast<NatsConnection*>(closure);
    ++self->generation_;
    self->connected_ = true;
    spdlog::info("NATS: connected");
}

void NatsConnection::on_closed(natsConnection*, void* closure) {
    auto* self = static_cast<NatsConnection*>(closure);
    const std::lock_guard lock(self->mutex_);
    self->closed_ = true;
    self->quiet_.notify_all();
}

void NatsConnection::on_message(natsConnection*, natsSubscription*, natsMsg* raw, void* closure) {
    const Owned<natsMsg, natsMsg_Destroy> message(raw);
    auto* callback = static_cast<Callback*>(closure);
    callback->run(
        natsMsg_GetSubject(raw),
        std::string_view(natsMsg_GetData(raw), static_cast<std::size_t>(natsMsg_GetDataLength(raw))));
}

net::Result<void> NatsConnection::subscribe(const std::string& subject,
                                            std::function<void(std::string_view, std::string_view)> run) {
    auto callback = std::make_unique<Callback>();
    callback->owner = this;
    callback->run = std::move(run);
    auto status = natsConnection_Subscribe(&callback->subscription, connection_, subject.c_str(), on_message,
                                           callback.get());
    if (status != NATS_OK) return failure("subscribe to " + subject, status);
    {
        const std::lock_guard lock(mutex_);
        ++running_;
    }
    natsSubscription_SetOnCompleteCB(
        callback->subscription,
        [](void* closure) {
            auto* self = static_cast<NatsConnection*>(closure);
            const std::lock_guard lock(self->mutex_);
            --self->running_;
            self->quiet_.notify_all();
        },
        this);
    callbacks_.push_back(std::move(callback));
    return {};
}

void NatsConnection::publish(const std::string& subject, const std::string& payload) {
    if (!connected_) return;
    const auto status = natsConnection_Publish(connection_, subject.c_str(), payload.data(),
                                               static_cast<int>(payload.size()));
    if (status != NATS_OK) spdlog::warn("NATS: publish to {}: {}", subject, natsStatus_GetText(status));
}

net::Result<void> NatsConnection::publish_if_last(const std::string& stream, const std::string& subject,
                                                  const std::string& payload, std::uint64_t last,
                                                  const std::string& reply) {
    natsMsg* raw = nullptr;
    auto status = natsMsg_Create(&raw, subject.c_str(), reply.c_str(), payload.data(),
                                 static_cast<int>(payload.size()));
    const Owned<natsMsg, natsMsg_Destroy> message(raw);
    if (status == NATS_OK) status = natsMsgHeader_Set(raw, "Nats-Expected-Stream", stream.c_str());
    if (status == NATS_OK)
        status = natsMsgHeader_Set(raw, "Nats-Expected-Last-Subject-Sequence", std::to_string(last).c_str());
    if (status == NATS_OK) status = natsConnection_PublishMsg(connection_, raw);
    if (status != NATS_OK) return failure("publish to " + subject, status);
    return {};
}

net::Result<NatsConnection::StreamState> NatsConnection::stream_state(const std::string& stream) {
    jsStreamInfo* raw = nullptr;
    jsErrCode code{};
    const auto status = js_GetStreamInfo(&raw, jetstream_, stream.c_str(), nullptr, &code);
    const Owned<jsStreamInfo, jsStreamInfo_Destroy> info(raw);
    if (status != NATS_OK) {
        auto error = failure("look at stream " + stream, status);
        error.code = static_cast<int>(code);
        return error;
    }
    return StreamState{raw->Created, raw->State.LastSeq};
}

net::Result<NatsConnection::StreamState> NatsConnection::ensure_stream(const std::string& stream,
                                                                       const std::string& subjects) {
    auto state = stream_state(stream);
    if (state || state.error().code != static_cast<int>(JSStreamNotFoundErr)) return state;
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    const char* list[] = {subjects.c_str()};
    config.Name = stream.c_str();
    config.Subjects = list;
    config.SubjectsLen = 1;
    config.Storage = js_FileStorage;
    config.Replicas = options_.replicas;
    config.DenyDelete = true;
    config.DenyPurge = true;
    jsStreamInfo* raw = nullptr;
    jsErrCode code{};
    const auto status = js_AddStream(&raw, jetstream_, &config, nullptr, &code);
    jsStreamInfo_Destroy(raw);
    // Another replica may have made it at the same moment.
    state = stream_state(stream);
    if (!state && status != NATS_OK) return failure("make stream " + stream, status);
    return state;
}

net::Result<NatsConnection::Reader> NatsConnection::read_stream(const std::string& stream,
                                                                const std::string& subjects,
                                                                std::uint64_t from) {
    jsSubOptions options;
    jsSubOptions_Init(&options);
    options.Stream = stream.c_str();
    options.Ordered = true;
    options.Config.DeliverPolicy = js_DeliverByStartSequence;
    options.Config.OptStartSeq = from;
    natsSubscription* raw = nullptr;
    jsErrCode code{};
    const auto status = js_SubscribeSync(&raw, jetstream_, subjects.c_str(), nullptr, &options, &code);
    if (status != NATS_OK) return failure("read stream " + stream, status);
    return Reader(raw);
}

net::Result<std::string> NatsConnection::keep(const std::string& bucket, const std::string& key,
                                              const std::string& value) {
    kvConfig config;
    kvConfig_Init(&config);
    config.Bucket = bucket.c_str();
    config.History = 1;
    config.StorageType = js_FileStorage;
    config.Replicas = options_.replicas;
    kvStore* raw = nullptr;
    auto status = js_KeyValue(&raw, jetstream_, bucket.c_str());
    if (status != NATS_OK) status = js_CreateKeyValue(&raw, jetstream_, &config);
    if (status != NATS_OK)
        status = js_KeyValue(&raw, jetstream_, bucket.c_str());  // another replica was faster
    const Owned<kvStore, kvStore_Destroy> store(raw);
    if (status != NATS_OK) return failure("open bucket " + bucket, status);
    std::uint64_t revision = 0;
    if (kvStore_CreateString(&revision, raw, key.c_str(), value.c_str()) == NATS_OK) return value;
    kvEntry* entry = nullptr;
    status = kvStore_Get(&entry, raw, key.c_str());
    if (status != NATS_OK) return failure("read " + key + " of bucket " + bucket, status);
    std::string kept = kvEntry_ValueString(entry);
    kvEntry_Destroy(entry);
    return kept;
}

std::string NatsConnection::new_inbox() const {
    natsInbox* inbox = nullptr;
    if (natsInbox_Create(&inbox) != NATS_OK) throw std::bad_alloc();
    std::string out(inbox);
    natsInbox_Destroy(inbox);
    return out;
}

void NatsConnection::close() {
    if (connection_ == nullptr) return;
    for (const auto& callback : callbacks_) natsSubscription_Unsubscribe(callback->subscription);
    natsConnection_Close(connection_);
    {
        std::unique_lock lock(mutex_);
        quiet_.wait_for(lock, std::chrono::seconds(2), [this] { return running_ == 0 && closed_; });
    }
    for (const auto& callback : callbacks_) natsSubscription_Destroy(callback->subscription);
    jsCtx_Destroy(jetstream_);
    natsConnection_Destroy(connection_);
    connection_ = nullptr;
    connected_ = false;
}

}  // namespace hawser::im
