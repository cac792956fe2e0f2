# All buffers of a process in use: uploads wait for each other, none is lost.

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Digest::SHA qw(sha256_hex);
use POSIX ();

use Exam;
use Exam::Api;
use Exam::Trace;
use Exam::Wire;

# small ones alone are enough: four of 32 KB for each of them
my $many = 48;
my $size = 400_000;

Exam::load_exam('30', students => { map { ("S$_" => {}) } 1 .. $many });

my $server = Exam::server(workers => 1,
    http => Exam::http_lines(exam_upload_buffers => '4m'));
my $api = Exam::Api->new($server);
my $worker;

Exam::wait_for { ($worker) = $server->workers; return $worker } 10;


# Many clients that send as fast as they can; what each was answered.

sub uploads {
    my (@pipes, @answers);

    for my $i (1 .. $many) {
        pipe my $out, my $in or die "pipe: $!\n";
        my $pid = fork // die "fork: $!\n";

        if ($pid == 0) {
            my $body = chr(64 + $i) x $size;
            my $c = Exam::Wire->new($server);

            $c->head(PUT => '/api/v1/recordings/screen/0', [
                'Content-Type' => 'video/webm', 'Content-Length' => $size,
                Authorization => 'Bearer ' . Exam::token(
                    exam => '30', student => "S$i", gen => 1000)]);
            $c->send($body);

            my $res = eval { $c->response } // {};
            my $same = ($res->{json}{sha256} // '') eq sha256_hex($body);
            syswrite $in, ($res->{status} // 'none') . ($same ? '' : ' other');
            POSIX::_exit(0);
        }

        close $in;
        push @pipes, [$pid, $out];
    }

    for my $pipe (@pipes) {
        my ($pid, $out) = @$pipe;
        push @answers, scalar <$out>;
        waitpid $pid, 0;
    }

    return @answers;
}


my @answers;
my @lines = traced($worker, ['-e', 'trace=pwrite64', '-e',
                             'inject=pwrite64:delay_enter=100000'],
                   sub { @answers = uploads() });

plan skip_all => 'processes cannot be traced here' unless @lines;

is_deeply \@answers, [(201) x $many], 'all of them are taken, each whole';
cmp_ok $api->metric('upload_waits_total'), '>', 0, 'some had to wait';
ok((Exam::wait_for { $api->metric('upload_bytes_in_flight') == 0 }),
   'nothing is in flight any more');
is $api->post('/api/v1/heartbeat', { seq => 1 }, Exam::token(
    exam => '30', student => 'S1', gen => 1000))->{status}, 200,
    'the process is well';

done_testing;
