// SPDX-License-Identifier: Apache-2.0
#include "tunnel/splicer.h"

#include <memory_resource>

namespace hawser::tunnel {

namespace {

std::pmr::memory_resource& pool() {
#ifdef __SANITIZE_ADDRESS__
    return *std::pmr::new_delete_resource();  // a pool would hide what is used after its end
#else
    // Never destroyed: the last of them may go with the last thread.
    static auto* const resource = new std::pmr::synchronized_pool_resource;
    return *resource;
#endif
}

}  // namespace

void* Epilogue::operator new(std::size_t size) { return pool().allocate(size); }

void Epilogue::operator delete(void* object, std::size_t size) { pool().deallocate(object, size); }

}  // namespace hawser::tunnel
