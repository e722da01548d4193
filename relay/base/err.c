/* SPDX-License-Identifier: ISC */
/* err - texts of errors, and errno as an err. */
#include "base/err.h"

#include <errno.h>

const char *
err_text(enum err e)
{
	switch (e) {
	case OK: return "no error";
	case ERR_AGAIN: return "try again later";
	case ERR_SYNTAX: return "syntax error";
	case ERR_RANGE: return "out of range";
	case ERR_NOT_FOUND: return "not found";
	case ERR_EXISTS: return "already exists";
	case ERR_FULL: return "limit reached";
	case ERR_DISK_FULL: return "disk full";
	case ERR_IO: return "input/output error";
	case ERR_DAMAGED: return "stored data is damaged";
	case ERR_VERSION: return "written by a newer version";
	case ERR_DENIED: return "permission denied";
	case ERR_BUSY: return "in use";
	case ERR_REFUSED: return "connection refused";
	case ERR_TIMEOUT: return "timed out";
	case ERR_UNREACHABLE: return "unreachable";
	case ERR_CLOSED: return "connection closed";
	case ERR_CANCELLED: return "cancelled";
	case ERR_CONFIG: return "configuration error";
	}
	return "unknown error";
}

enum err
err_from_errno(int errnum)
{
	switch (errnum) {
	case 0: return OK;
	case EAGAIN:
	case EINTR: return ERR_AGAIN;
	case ENOSPC:
	case EDQUOT: return ERR_DISK_FULL;
	case EACCES:
	case EPERM: return ERR_DENIED;
	case ENOENT: return ERR_NOT_FOUND;
	case EEXIST: return ERR_EXISTS;
	case EADDRINUSE:
	case EBUSY: return ERR_BUSY;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM: return ERR_FULL;
	case ECONNREFUSED: return ERR_REFUSED;
	case ETIMEDOUT: return ERR_TIMEOUT;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EADDRNOTAVAIL: return ERR_UNREACHABLE;
	case ECONNRESET:
	case EPIPE: return ERR_CLOSED;
	default: return ERR_IO;
	}
}
