# How many attachments a session may have open at a time, and how much room they
# may reserve together.

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Exam;
use Exam::Api;
use Exam::Wire;

Exam::load_exam('30', students => { map { ("S00$_" => {}) } 1 .. 3 });

my $server = Exam::server(workers => 2, http => Exam::http_lines(
    exam_file_uploads => 5, exam_max_bytes => '1m', exam_kind_uploads => 2));
my $api = Exam::Api->new($server);


sub create {
    my ($student, $length, %more) = @_;

    my %fields = ('Tus-Resumable' => '1.0.0', 'Upload-Length' => $length,
                  Authorization => 'Bearer ' . Exam::token(
                      exam => '30', student => $student, gen => 1000), %more);
    my $c = Exam::Wire->new($server);

    $c->head(POST => '/api/v1/uploads', [map { ($_, $fields{$_}) }
                                         sort keys %fields]);
    return $c->response;
}


is create('S001', 100)->{status}, 201, 'an attachment is created' for 1 .. 5;

my $res = create('S001', 100);
is $res->{status}, 503, 'one too many is refused';
is $res->{code}, 'too_many_uploads', '... with its reason';

is create('S001', 100, 'Upload-Metadata' =>
          'kind c2NyZWVu,n MA==,filetype dmlkZW8vd2VibQ==')->{status},
    201, 'recordings are counted by themselves';

is create('S002', 1 << 20)->{status}, 201, 'a large one is created' for 1 .. 4;

$res = create('S002', 1);
is $res->{status}, 503, 'more than four times the largest together is refused';
is $res->{code}, 'too_many_uploads', '... with the same reason';

$res = create('S003', (1 << 20) + 1);
is $res->{status}, 413, 'one that is too large by itself has another';

# A run of a conformance suite leaves some 80 behind.

$server->stop;
$server = Exam::server(http => Exam::http_lines());

is scalar(grep { create('S001', 100)->{status} != 201 } 1 .. 400), 0,
    'by default five such runs find room';

done_testing;
