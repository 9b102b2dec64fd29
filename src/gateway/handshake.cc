// SPDX-License-Identifier: Apache-2.0
#include "gateway/handshake.h"

#include <openssl/evp.h>

#include <array>

#include "gateway/http1/message.h"

namespace hawser::gateway {

std::string websocket_accept(std::string_view key) {
    const std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
    std::array<unsigned char, 64> encoded{};
    const int length = EVP_EncodeBlock(encoded.data(), digest.data(), static_cast<int>(size));
    return {reinterpret_cast<const char*>(encoded.data()), static_cast<std::size_t>(length)};
}

bool upgrade_was_asked(std::string_view asked, std::string_view token) {
    return !token.empty() && http1::has_token(asked, token);
}

}  // namespace hawser::gateway
