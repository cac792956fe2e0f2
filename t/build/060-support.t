# The test support: a file of blocks fails on what nginx says at [error] or
# above, unless a block or t/lib/allowed-errors names it.

use strict;
use warnings;

use lib 't/lib';
use Exam;
use Test::More;

my $root = $Exam::Process::Root;


sub run_blocks {
    my ($block) = @_;

    my $file = Exam::spew(Exam::dir() . '/blocks.t', <<"END");
use lib '$root/t/lib';
use Test::Nginx::Socket;
use Exam;
plan 'no_plan';
run_tests();
__DATA__

=== TEST 1: a location that may fail
--- config
location = /fine { return 204; }
location = /refused { proxy_pass http://127.0.0.1:1; }
$block
END

    # a test of its own, not a part of this one
    local $ENV{HARNESS_ACTIVE};
    return Exam::run('perl', $file);
}


my ($rc, $out, $err) = run_blocks("--- request\nGET /fine\n"
                                  . "--- error_code: 204\n");
is $rc, 0, 'a quiet block passes' or diag "$out$err";

($rc, $out, $err) = run_blocks("--- request\nGET /refused\n"
                               . "--- error_code: 502\n");
is $rc, 1, 'an error line fails the file';
like $err, qr/^# lines in the error log:\n#   .*\[error\].*refused/m,
    '... and is shown';

($rc, $out, $err) = run_blocks("--- request\nGET /refused\n"
    . "--- error_code: 502\n--- error_log\nConnection refused\n");
is $rc, 0, 'an error line that the block names passes' or diag "$out$err";

is scalar(Exam::bad_lines($_)), 1, "seen: $_"
    for '==1==ERROR: AddressSanitizer: heap-use-after-free',
        'x.c:1:2: runtime error: signed integer overflow',
        '2026/01/01 00:00:00 [alert] 1#1: worker process 2 exited';

is scalar(Exam::bad_lines('[info] 1#1: "[error"')), 0, 'info is no error';

done_testing;
