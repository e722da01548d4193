/* SPDX-License-Identifier: ISC */
/*
 * pop - a POP3 client that only wants to be fast: signs in, asks STAT, and retrieves
 * every message, one after the other, without pipelining.  Prints one JSON object.
 *
 *	pop HOST PORT USER PASSWORD
 */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

static int fd;
static char in[256u << 10];
static size_t have, taken;

static double
now(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
die(const char *what)
{
	fprintf(stderr, "pop: %s\n", what);
	exit(1);
}

static void
fill(void)
{
	if (taken > 0) {
		memmove(in, in + taken, have - taken);
		have -= taken;
		taken = 0;
	}
	if (have == sizeof(in))
		die("an answer is too long");
	ssize_t n = recv(fd, in + have, sizeof(in) - have, 0);
	if (n <= 0)
		die("the server closed the connection");
	have += (size_t)n;
}

/* One line, its end not included; valid until the next. */
static char *
line(void)
{
	for (;;) {
		char *nl = have > taken ? memchr(in + taken, '\n', have - taken) : NULL;
		if (nl != NULL) {
			char *at = in + taken;
			nl[-1] = '\0';
			taken = (size_t)(nl - in) + 1;
			return at;
		}
		fill();
	}
}

/* Behind the status line, up to the lone dot; how many octets. */
static size_t
body(void)
{
	size_t octets = 0;
	for (;;) {
		const char *end = have - taken >= 3 && memcmp(in + taken, ".\r\n", 3) == 0
				      ? in + taken - 2
				      : memmem(in + taken, have - taken, "\r\n.\r\n", 5);
		if (end != NULL) {
			size_t n = (size_t)(end + 5 - (in + taken));
			taken += n;
			return octets + n - 3;
		}
		if (have - taken > sizeof(in) / 2) {
			octets += have - taken - 5;
			taken = have - 5;
		}
		fill();
	}
}

static char *
ask(const char *command)
{
	char text[300];
	int n = snprintf(text, sizeof(text), "%s\r\n", command);
	if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		die("the server does not take commands");
	char *answer = line();
	if (strncmp(answer, "+OK", 3) != 0)
		die(answer);
	return answer;
}

int
main(int argc, char **argv)
{
	char command[300];
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *to;
	int on = 1;
	if (argc != 5 || getaddrinfo(argv[1], argv[2], &hints, &to) != 0)
		die("usage: pop HOST PORT USER PASSWORD");
	fd = socket(to->ai_family, to->ai_socktype, 0);
	if (fd < 0 || connect(fd, to->ai_addr, to->ai_addrlen) != 0)
		die("nobody answers there");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	freeaddrinfo(to);
	(void)line();
	(void)snprintf(command, sizeof(command), "USER %s", argv[3]);
	(void)ask(command);
	double began = now();
	(void)snprintf(command, sizeof(command), "PASS %s", argv[4]);
	(void)ask(command);
	unsigned long count = strtoul(ask("STAT") + 4, NULL, 10);
	double opened = now() - began;
	unsigned long long octets = 0;
	began = now();
	for (unsigned long i = 1; i <= count; i++) {
		(void)snprintf(command, sizeof(command), "RETR %lu", i);
		(void)ask(command);
		octets += body();
	}
	double took = now() - began;
	(void)ask("QUIT");
	printf("{\"messages\":%lu,\"octets\":%llu,\"open_s\":%.4f,\"seconds\":%.4f,"
	       "\"rate\":%.0f}\n",
	    count, octets, opened, took, took > 0 ? (double)count / took : 0);
	return 0;
}
