# What is wrong with a body is named: `detail` of a refused member, by our own
# name for it, never by the client's text.

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Exam;
use Exam::Api qw(is_problem);

my $api = Exam::Api->new(Exam::server());

Exam::load_exam('30', students => { S001 => { code => $Exam::Api::Code } });

my $token = $api->login('30', 'S001')->{json}{token};

my @cases = (
    ['login', '{"exam":1}', 'bad_type', 'exam'],
    ['login', '{"exam":"30","student":[]}', 'bad_type', 'student'],
    ['login', '{"exam":"30","student":"S001"}', 'missing_member', 'code'],
    ['login', '{"student":"S001"}', 'missing_member', 'exam'],
    ['heartbeat', '{}', 'missing_member', 'seq'],
    ['heartbeat', '{"seq":"1"}', 'bad_type', 'seq'],
    ['heartbeat', '{"seq":-1}', 'bad_value', 'seq'],
    ['heartbeat', '{"seq":1.5}', 'bad_value', 'seq'],
    ['heartbeat', '{"seq":1,"client_time":-5}', 'bad_value', 'client_time'],
    ['heartbeat', '{"seq":1,"state":7}', 'bad_type', 'state'],
    ['heartbeat', '{"seq":1,"state":{"queued_bytes":-1}}', 'bad_value',
     'queued_bytes'],
    ['heartbeat', '{"seq":1,"state":{"recorder":"A B"}}', 'bad_value',
     'recorder'],
    ['heartbeat', '{"seq":1,"state":{"focus":1}}', 'bad_type', 'focus'],
    ['heartbeat', '{"seq":1,"state":{"recorded":1}}', 'bad_type', 'recorded'],
    ['heartbeat', '{"seq":1,"state":{"recorded":{"screen":-9}}}',
     'bad_value', 'recorded'],
    ['heartbeat', '{"seq":1,"missed":{}}', 'bad_type', 'missed'],
    ['heartbeat', '{"seq":1,"missed":[{"seq":-1}]}', 'bad_value', 'missed'],
    ['heartbeat', '{"seq":1,"ack":[{}]}', 'bad_type', 'ack'],
    ['recordings/screen/0/lost', '{"reason":[]}', 'bad_type', 'reason'],
    ['recordings/screen/0/lost', '{"reason":"' . 'x' x 256 . '"}',
     'bad_value', 'reason'],
    ['events', '{}', 'missing_member', 'events'],
    ['events', '{"events":{}}', 'bad_type', 'events'],
    ['events', '{"events":[7]}', 'bad_type', 'events'],
    ['events', '{"events":[{"id":"a"}]}', 'missing_member', 'type'],
    ['events', '{"events":[{"type":"a"}]}', 'missing_member', 'id'],
    ['events', '{"events":[{"id":"a b","type":"a"}]}', 'bad_value', 'id'],
    ['events', '{"events":[{"id":"a","type":"a","client_time":"x"}]}',
     'bad_type', 'client_time'],
    ['logout', '{"recorded":[]}', 'bad_type', 'recorded'],
    ['logout', '{"recorded":{"camera":"x"}}', 'bad_type', 'recorded'],
);

for (@cases) {
    my ($path, $body, $code, $name) = @$_;
    my $res = $api->post("/api/v1/$path", $body, $token);

    is_problem($res, 400, $code, "$path: $name");
    like($res->{json}{detail}, qr/: \Q$name\E\z/, 'is named');
}


# what has no name of ours

for my $body ('[]', '7') {
    my $res = $api->post('/api/v1/heartbeat', $body, $token);

    is_problem($res, 400, 'bad_type', "a heartbeat of $body");
    is($res->{json}{detail}, $res->{json}{title}, 'has no member to name');
}

my $res = $api->post('/api/v1/heartbeat', '{"seq":"1"}', 'x');

is_problem($res, 401, 'token_invalid', 'a stranger');
unlike($res->{content}, qr/seq/, 'learns nothing of it');

$api->logout($token);
$res = $api->logout($token, '{"recorded":[]}');
is_problem($res, 403, 'session_ended', 'another error');
unlike($res->{json}{detail}, qr/recorded/, 'does not name a member');

done_testing();
